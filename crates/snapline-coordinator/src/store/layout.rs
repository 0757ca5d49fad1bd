//! The names of everything.

use super::record::Epoch;
use snapline_core::{AttemptId, CheckpointId, JobId, OperatorUid, Result, SubtaskIndex};
use snapline_state::StorageKey;

/// The name of the manifest in its folder.
pub(super) const MANIFEST: &str = "manifest.json";

/// Numbers are padded so that the order of names is the order of numbers.
const DIGITS: usize = 20;

#[derive(Debug)]
pub(crate) struct Layout {
    job: JobId,
}

impl Layout {
    pub(crate) fn new(job: JobId) -> Self {
        Self { job }
    }

    pub(crate) fn job(&self) -> &JobId {
        &self.job
    }

    /// The folder of attempt claims.
    pub(crate) fn attempts(&self) -> String {
        format!("{}/attempt/", self.job)
    }

    /// The folder of epoch records.
    pub(crate) fn epochs(&self) -> String {
        format!("{}/epoch/", self.job)
    }

    /// The folder of manifests and state.
    pub(crate) fn checkpoints(&self) -> String {
        format!("{}/checkpoint/", self.job)
    }

    /// The folder of confirmed commits.
    pub(crate) fn commits(&self) -> String {
        format!("{}/committed/", self.job)
    }

    /// The folder of boundaries.
    pub(crate) fn boundaries(&self) -> String {
        format!("{}/gc/boundary/", self.job)
    }

    pub(crate) fn attempt(&self, attempt: AttemptId) -> Result<StorageKey> {
        numbered(&self.attempts(), attempt.0)
    }

    pub(crate) fn epoch(&self, epoch: Epoch) -> Result<StorageKey> {
        numbered(&self.epochs(), epoch.0)
    }

    pub(crate) fn committed(&self, checkpoint: CheckpointId) -> Result<StorageKey> {
        numbered(&self.commits(), checkpoint.0)
    }

    pub(crate) fn boundary(&self, boundary: Epoch) -> Result<StorageKey> {
        numbered(&self.boundaries(), boundary.0)
    }

    pub(crate) fn manifest(&self, attempt: AttemptId, checkpoint: CheckpointId) -> Result<StorageKey> {
        StorageKey::new(format!(
            "{}/{MANIFEST}",
            checkpoint_folder(&self.job, attempt, checkpoint)
        ))
    }

    /// State has a folder of its own, in which no operator can be mistaken for the manifest.
    pub(crate) fn state(
        &self,
        attempt: AttemptId,
        checkpoint: CheckpointId,
        operator: &OperatorUid,
        subtask: SubtaskIndex,
    ) -> Result<StorageKey> {
        state_folder(&self.job, attempt, checkpoint)?.join(&format!("{operator}/{subtask}"))
    }

    /// The folder of the state of one savepoint, in which nobody else writes.
    pub(crate) fn savepoint(
        &self,
        path: &StorageKey,
        attempt: AttemptId,
        checkpoint: CheckpointId,
    ) -> Result<StorageKey> {
        path.join(&format!("state/{}/a{attempt}-e{checkpoint}", self.job))
    }

    /// Whether the store keeps something of its own at this path.
    pub(crate) fn is_reserved(&self, path: &StorageKey) -> bool {
        let folders = [
            self.attempts(),
            self.epochs(),
            self.checkpoints(),
            self.commits(),
            format!("{}/gc/", self.job),
        ];
        let path = format!("{path}/");
        folders.iter().any(|folder| path.starts_with(folder))
    }

    /// Which checkpoint of which attempt a file was written for.
    pub(crate) fn owner(&self, key: &StorageKey) -> Option<(AttemptId, CheckpointId)> {
        let rest = key.as_str().strip_prefix(&self.checkpoints())?;
        let (folder, _) = rest.split_once('/')?;
        let (attempt, checkpoint) = folder.strip_prefix('a')?.split_once("-e")?;
        Some((
            AttemptId(attempt.parse().ok()?),
            CheckpointId(checkpoint.parse().ok()?),
        ))
    }
}

/// The folder of one checkpoint, without a slash at the end.
pub(crate) fn checkpoint_folder(job: &JobId, attempt: AttemptId, checkpoint: CheckpointId) -> String {
    format!("{job}/checkpoint/a{attempt}-e{checkpoint}")
}

/// The folder of the state of one checkpoint.
pub(crate) fn state_folder(job: &JobId, attempt: AttemptId, checkpoint: CheckpointId) -> Result<StorageKey> {
    StorageKey::new(format!("{}/state", checkpoint_folder(job, attempt, checkpoint)))
}

/// The number that a numbered key ends in; `None` for a foreign name.
pub(crate) fn number(key: &StorageKey) -> Option<u64> {
    let digits = key.name().strip_suffix(".json")?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn numbered(folder: &str, number: u64) -> Result<StorageKey> {
    StorageKey::new(format!("{folder}{number:0DIGITS$}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_protocol_and_can_be_read_back() {
        let layout = Layout::new(JobId::new("job").unwrap());
        let (attempt, checkpoint) = (AttemptId(7), CheckpointId(1234));
        let names = [
            (layout.attempt(attempt), "job/attempt/00000000000000000007.json"),
            (layout.epoch(Epoch(1234)), "job/epoch/00000000000000001234.json"),
            (
                layout.manifest(attempt, checkpoint),
                "job/checkpoint/a7-e1234/manifest.json",
            ),
            (
                layout.committed(checkpoint),
                "job/committed/00000000000000001234.json",
            ),
            (
                layout.boundary(Epoch(42)),
                "job/gc/boundary/00000000000000000042.json",
            ),
        ];
        for (key, name) in names {
            assert_eq!(key.unwrap().as_str(), name);
        }
        assert_eq!(number(&layout.epoch(Epoch(1234)).unwrap()), Some(1234));
        let uid = OperatorUid::new("sum").unwrap();
        let state = layout.state(attempt, checkpoint, &uid, SubtaskIndex(3)).unwrap();
        assert_eq!(state.as_str(), "job/checkpoint/a7-e1234/state/sum/3");
        assert_eq!(layout.owner(&state), Some((attempt, checkpoint)));
    }

    #[test]
    fn foreign_names_are_passed_over() {
        let layout = Layout::new(JobId::new("job").unwrap());
        for name in [
            "job/epoch/7.json",
            "job/epoch/99999999999999999999.json",
            "job/epoch/x",
        ] {
            assert_eq!(number(&StorageKey::new(name).unwrap()), None, "{name}");
        }
        for name in [
            "job/checkpoint/a7",
            "job/checkpoint/b7-e1/x",
            "other/checkpoint/a7-e1/x",
        ] {
            assert_eq!(layout.owner(&StorageKey::new(name).unwrap()), None, "{name}");
        }
    }
}
