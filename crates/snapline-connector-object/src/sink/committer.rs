//! Makes objects visible, and cleans up after a crash.

use super::name::Part;
use super::place::{Place, is_over};
use super::{ATTEMPTS, ExistingOutput, Marker, ObjectSinkPart, Options, UPLOADS};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext};
use snapline_core::{AttemptId, CheckpointId, Error, JobId, OperatorUid, Result};
use snapline_objects::{Phase, explain};
use std::collections::{BTreeMap, BTreeSet};

/// No attempt comes later.
const ANY: AttemptId = AttemptId(u64::MAX);

pub(super) struct ObjectCommitter {
    place: Place,
    options: Options,
    job: JobId,
    operator: OperatorUid,
}

/// What an attempt has noted when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beginning {
    job: String,
    operator: String,
    /// The checkpoint that it has restored.
    restored: Option<u64>,
}

/// So many objects become visible at a time.
const AT_ONCE: usize = 8;

impl ObjectCommitter {
    pub(super) fn new(place: Place, options: Options, context: &CommitterContext) -> Self {
        Self {
            place,
            options,
            job: context.job.clone(),
            operator: context.operator.clone(),
        }
    }

    /// Makes one object visible. The upload that is over was completed before, or the object is lost.
    async fn commit_part(&self, part: &ObjectSinkPart) -> Result<()> {
        let path = self.place.visible(&part.name);
        let Err(error) = self.place.complete(&path, &part.upload, &part.parts).await else {
            return Ok(());
        };
        match self.place.len(&path).await? {
            Some(len) if len == part.len => Ok(()),
            Some(len) => Err(Error::invalid(
                "an object of the output does not have the length that its checkpoint says; bring it back as it was, or \
                 start over",
            )
            .with("object", path)
            .with("expected", part.len)
            .with("found", len)),
            None if is_over(&error) => Err(Error::invalid(
                "the upload of an object is gone, and so is the object: somebody has aborted it, a lifecycle rule of the \
                 bucket perhaps, which has to wait longer than a job may stand still; start over, or from an older savepoint",
            )
            .with("object", path)
            .because(error)),
            None => Err(explain(Phase::InUse, "an object cannot become visible", error).with("object", path)),
        }
    }

    /// What attempts have noted, by attempt.
    async fn beginnings(&self) -> Result<BTreeMap<AttemptId, Beginning>> {
        let mut beginnings = BTreeMap::new();
        for name in self.place.own_names(ATTEMPTS).await? {
            let Ok(attempt) = name.parse() else { continue };
            if let Some(beginning) = self.place.note(&self.place.own(ATTEMPTS, &name)).await? {
                beginnings.insert(AttemptId(attempt), beginning);
            }
        }
        Ok(beginnings)
    }

    fn check_owner(&self, beginnings: &BTreeMap<AttemptId, Beginning>) -> Result<()> {
        let own =
            |other: &&Beginning| other.job == self.job.as_str() && other.operator == self.operator.as_str();
        match beginnings.values().find(|other| !own(other)) {
            None => Ok(()),
            Some(other) => Err(Error::invalid(
                "the output belongs to another sink; give each sink a prefix of its own",
            )
            .with("output", format!("{:?}", self.place))
            .with("job", &other.job)
            .with("operator", &other.operator)),
        }
    }

    /// The objects that attempts until this one have made visible. Of this one no writer is open yet: those that have its number
    /// are of another history of the job, whose checkpoints are gone.
    async fn visible_until(&self, attempt: AttemptId) -> Result<Vec<(String, Part)>> {
        let names = match self.options.has_buckets {
            true => self.place.visible_names_below().await?,
            false => self.place.visible_names().await?,
        };
        let names = names.into_iter();
        let parts =
            names.filter_map(|name| Part::parse(&name, &self.options.suffix).map(|part| (name, part)));
        Ok(parts.filter(|(_, part)| part.attempt <= attempt).collect())
    }

    fn check_empty(&self, visible: &[(String, Part)]) -> Result<()> {
        match visible.len() {
            0 => Ok(()),
            count => Err(Error::invalid(
                "the output already has results, but there is no checkpoint to resume from; give an empty prefix, or have them \
                 removed with ExistingOutput::Replace",
            )
            .with("output", format!("{:?}", self.place))
            .with("objects", count)),
        }
    }

    fn gone(&self, checkpoint: CheckpointId) -> Error {
        Error::invalid(
            "the output is gone, with the results up to the checkpoint; bring it back, or start over; a sink that is new in a \
             job that has checkpoints begins with ExistingOutput::Replace",
        )
        .with("output", format!("{:?}", self.place))
        .with("checkpoint", checkpoint)
    }

    /// Removes the objects of checkpoints after the restored one, whose records will be written again. Returns of which
    /// attempts there are others.
    async fn remove_later(
        &self,
        visible: Vec<(String, Part)>,
        beginnings: &BTreeMap<AttemptId, Beginning>,
        restored: Option<CheckpointId>,
    ) -> Result<BTreeSet<AttemptId>> {
        let is_later = |part: &Part| {
            // An object is of the next checkpoint after the one that its name has, or its attempt began with.
            let begun = beginnings
                .get(&part.attempt)
                .and_then(|beginning| beginning.restored);
            let after = part.after.0.max(begun.unwrap_or(0));
            restored.is_none_or(|restored| after >= restored.0)
        };
        let (later, kept): (Vec<_>, Vec<_>) = visible.into_iter().partition(|(_, part)| is_later(part));
        let later: Vec<_> = later.iter().map(|(name, _)| self.place.visible(name)).collect();
        if !later.is_empty() {
            tracing::warn!(
                output = ?self.place,
                objects = later.len(),
                restored = restored.unwrap_or(CheckpointId::NONE).0,
                "removing objects of checkpoints after the one from which the job starts; their records will be written again"
            );
        }
        self.place.delete(later).await?;
        Ok(kept.into_iter().map(|(_, part)| part.attempt).collect())
    }

    /// Aborts the uploads that attempts until this one have left.
    async fn abort_uploads(&self, attempt: AttemptId) -> Result<()> {
        let mut markers = Vec::new();
        for name in self.place.own_names(UPLOADS).await? {
            let part = Part::parse(&name, &self.options.suffix);
            if part.is_none_or(|part| part.attempt > attempt) {
                continue;
            }
            let marker = self.place.own(UPLOADS, &name);
            if let Some(Marker { upload }) = self.place.note(&marker).await? {
                self.place.abort(&self.place.visible(&name), &upload).await?;
            }
            markers.push(marker);
        }
        self.place.delete(markers).await
    }

    /// Notes that this attempt begins, and forgets those of which nothing is visible.
    async fn begin(
        &self,
        attempt: AttemptId,
        restored: Option<CheckpointId>,
        before: &BTreeMap<AttemptId, Beginning>,
        needed: &BTreeSet<AttemptId>,
    ) -> Result<()> {
        let own = Beginning {
            job: self.job.to_string(),
            operator: self.operator.to_string(),
            restored: restored.map(|checkpoint| checkpoint.0),
        };
        let path = self.place.own(ATTEMPTS, &format!("{:020}", attempt.0));
        let noted = self.place.put_note(&path, &own)?.await;
        noted.map_err(|error| {
            explain(Phase::InUse, "the output cannot be written", error).with("object", path)
        })?;
        let is_over = |other: &AttemptId| restored.is_none() || (*other < attempt && !needed.contains(other));
        let others = before.keys().filter(|other| **other != attempt && is_over(other));
        let others = others.map(|other| self.place.own(ATTEMPTS, &format!("{:020}", other.0)));
        self.place.delete(others.collect()).await
    }
}

#[async_trait]
impl Committer<ObjectSinkPart> for ObjectCommitter {
    async fn commit(&mut self, committables: Vec<ObjectSinkPart>) -> Result<()> {
        let commits = committables.iter().map(|part| self.commit_part(part));
        let commits = futures::stream::iter(commits.collect::<Vec<_>>());
        commits.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let markers = committables
            .iter()
            .map(|part| self.place.own(UPLOADS, &part.name));
        self.place.delete(markers.collect()).await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let beginnings = self.beginnings().await?;
        let visible = match (restored, self.options.existing) {
            (None, ExistingOutput::Refuse) => {
                self.check_owner(&beginnings)?;
                self.check_empty(&self.visible_until(ANY).await?)?;
                self.abort_uploads(attempt).await?;
                Vec::new()
            }
            (None, ExistingOutput::Replace) => {
                self.abort_uploads(ANY).await?;
                self.visible_until(ANY).await?
            }
            (Some(checkpoint), existing) => {
                self.check_owner(&beginnings)?;
                check_newest(&beginnings, attempt)?;
                if beginnings.is_empty() && existing == ExistingOutput::Refuse {
                    return Err(self.gone(checkpoint));
                }
                self.abort_uploads(attempt).await?;
                self.visible_until(attempt).await?
            }
        };
        let needed = self.remove_later(visible, &beginnings, restored).await?;
        self.begin(attempt, restored, &beginnings, &needed).await
    }
}

fn check_newest(beginnings: &BTreeMap<AttemptId, Beginning>, attempt: AttemptId) -> Result<()> {
    match beginnings.keys().next_back() {
        Some(newer) if *newer > attempt => Err(Error::conflict(
            "a newer attempt of the job writes to the output already",
        )
        .with("newer attempt", newer)),
        _ => Ok(()),
    }
}
