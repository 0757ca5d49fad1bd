//! Makes files visible, and cleans up after a crash.

use super::bucket::{self, ROOT};
use super::directory::{Directory, Owner};
use super::name::Stage;
use super::{ExistingOutput, FileSinkPart};
use crate::local_path::io_error;
use async_trait::async_trait;
use snapline_connector::{Committer, CommitterContext};
use snapline_core::{AttemptId, CheckpointId, Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

/// No attempt comes later.
const ANY: AttemptId = AttemptId(u64::MAX);

pub(super) struct FileCommitter {
    directory: Directory,
    existing: ExistingOutput,
    owner: Owner,
    /// The name of a file to try whether it can be written to.
    probe: String,
}

impl FileCommitter {
    pub(super) fn new(directory: Directory, existing: ExistingOutput, context: &CommitterContext) -> Self {
        Self {
            directory,
            existing,
            owner: Owner::new(&context.job, &context.operator),
            probe: format!("committer-{}", context.attempt),
        }
    }

    fn commit_part(&self, part: &FileSinkPart) -> Result<()> {
        if let Some(len) = self.len(&part.pending)? {
            self.check_len(&part.pending, len, part.len)?;
            let pending = self.directory.join(&part.pending);
            return fs::rename(&pending, self.directory.join(&part.committed))
                .map_err(|error| io_error("an output file cannot be committed", &pending, error));
        }
        match self.len(&part.committed)? {
            Some(len) => self.check_len(&part.committed, len, part.len),
            None => Err(Error::invalid(
                "an output file of the checkpoint is neither pending nor committed, somebody has removed it; \
                 bring it back, or start over",
            )
            .with("path", self.directory.path().display())
            .with("pending", &part.pending)
            .with("committed", &part.committed)),
        }
    }

    /// The length of a file, if there is one.
    fn len(&self, name: &str) -> Result<Option<u64>> {
        let path = self.directory.join(name);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("an output file cannot be looked at", &path, error)),
        }
    }

    fn check_len(&self, name: &str, len: u64, expected: u64) -> Result<()> {
        if len == expected {
            return Ok(());
        }
        Err(Error::invalid(
            "an output file does not have the length that its checkpoint says; bring it back as it was, \
                 or start over",
        )
        .with("path", self.directory.join(name).display())
        .with("expected", expected)
        .with("found", len))
    }

    /// Removes what no checkpoint up to the restored one refers to, unless a newer attempt has written it.
    fn clean(&self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        for (name, stage) in self.parts_until(attempt)? {
            if let Stage::Committed(checkpoint) = stage {
                if restored.is_some_and(|restored| checkpoint <= restored) {
                    continue;
                }
                tracing::warn!(
                    directory = %self.directory.path().display(),
                    file = name,
                    restored = restored.unwrap_or(CheckpointId::NONE).0,
                    "removing an output file of a checkpoint after the one from which the job starts; its \
                     records will be written again"
                );
            }
            self.directory.remove(&name)?;
        }
        Ok(())
    }

    /// The files that attempts until this one have written. Of this one no writer is open yet: those that have its number are
    /// of another history of the job, whose checkpoints are gone.
    fn parts_until(&self, attempt: AttemptId) -> Result<Vec<(String, Stage)>> {
        let parts = self.directory.parts()?.into_iter();
        let older = parts.filter(|(_, part, _)| part.attempt <= attempt);
        Ok(older.map(|(name, _, stage)| (name, stage)).collect())
    }

    /// A job that starts at the beginning must not add to the results of another one, nor of its own before its checkpoints
    /// were removed.
    fn check_empty(&self) -> Result<()> {
        let parts = self.parts_until(ANY)?;
        let results = parts
            .iter()
            .filter(|(_, stage)| matches!(stage, Stage::Committed(_)));
        match results.count() {
            0 => Ok(()),
            count => Err(Error::invalid(
                "the output directory already has results, but there is no checkpoint to resume from; give an \
                 empty directory, or have them removed with ExistingOutput::Replace",
            )
            .with("path", self.directory.path().display())
            .with("files", count)),
        }
    }
}

#[async_trait]
impl Committer<FileSinkPart> for FileCommitter {
    async fn commit(&mut self, committables: Vec<FileSinkPart>) -> Result<()> {
        if committables.is_empty() {
            return Ok(());
        }
        self.directory.check_owner(&self.owner)?;
        let buckets = committables.iter().map(|part| bucket::of(&part.committed));
        let buckets: BTreeSet<&str> = buckets.filter(|bucket| *bucket != ROOT).collect();
        buckets
            .iter()
            .try_for_each(|bucket| self.directory.create_bucket(bucket))?;
        committables.iter().try_for_each(|part| self.commit_part(part))?;
        buckets
            .iter()
            .try_for_each(|bucket| self.directory.sync_bucket(bucket))?;
        self.directory.sync()
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        if let Some(checkpoint) = restored
            && self.directory.is_missing()
        {
            return Err(Error::invalid(
                "the output directory is gone, with the results up to the checkpoint; bring it back, or \
                 create it to go on without them, or start over",
            )
            .with("path", self.directory.path().display())
            .with("checkpoint", checkpoint));
        }
        self.directory.open(&self.probe)?;
        match (restored, self.existing) {
            (None, ExistingOutput::Refuse) => {
                self.check_empty()?;
                self.directory.check_owner(&self.owner)?;
                self.clean(attempt, None)?;
            }
            (None, ExistingOutput::Replace) => self.clean(ANY, None)?,
            (Some(_), _) => {
                self.directory.check_owner(&self.owner)?;
                self.clean(attempt, restored)?;
            }
        }
        self.directory.take(&self.owner)?;
        self.directory.sync()
    }
}
