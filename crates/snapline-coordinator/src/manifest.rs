//! What a completed checkpoint consists of.

use crate::document::{self, DocumentFormat};
use crate::store::record::LAST_ID;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_barrier::{ConsistentCut, CutViolation, TaskCut};
use snapline_core::{
    AttemptId, BarrierAlignment, CheckpointId, CheckpointKind, Error, JobId, MaxParallelism, OperatorUid,
    Result, SubtaskId, SubtaskIndex, Timestamp,
};
use snapline_state::{Committable, StateHandle, StateLocation, StorageKey, SubtaskState};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const FORMAT: DocumentFormat = DocumentFormat {
    name: "snapline-manifest",
    version: 1,
};

/// The content of one completed checkpoint: everything that a restore has to know.
///
/// It is stored as JSON that can be read with `cat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job that took the checkpoint.
    pub job: JobId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The completed checkpoint before it.
    pub parent: Option<CheckpointId>,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// How its barriers were aligned, which decides what [`Manifest::verify_cut`] asks of the cuts.
    #[serde(default = "aligned")]
    pub alignment: BarrierAlignment,
    /// Whether the job had ended: nothing is left to do but the commits.
    pub finished: bool,
    /// When it was started, in milliseconds since the Unix epoch.
    pub created: Timestamp,
    /// How many milliseconds later all tasks had stored their state; manifests of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// How many key groups the job has.
    pub max_parallelism: MaxParallelism,
    /// How much there is.
    pub sizes: ManifestSizes,
    /// The operators that have state.
    pub operators: BTreeMap<OperatorUid, OperatorManifest>,
    /// Commits of earlier checkpoints that were not confirmed when this one was published, oldest
    /// first.
    pub uncommitted: Vec<SubtaskCommit>,
    /// Where the tasks stood, for each that has channels or a clock.
    pub cuts: Vec<SubtaskCut>,
}

/// How much a checkpoint holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSizes {
    /// All state and committables.
    pub total: u64,
    /// State in files that were written for this checkpoint; files of earlier checkpoints and state
    /// in the manifest itself do not count.
    pub written: u64,
}

/// The state of one operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorManifest {
    /// The operator's name, for people.
    pub name: String,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// The state of each subtask, in subtask order.
    pub subtasks: Vec<SubtaskState>,
}

/// What one subtask of a sink has pre-committed in one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskCommit {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The sink.
    pub operator: OperatorUid,
    /// Which of its subtasks.
    pub subtask: SubtaskIndex,
    /// What to commit, in order.
    pub committables: Vec<Committable>,
}

/// Where one task stood at the cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskCut {
    /// The task.
    pub task: SubtaskId,
    /// Its channels and its clock.
    #[serde(flatten)]
    pub cut: TaskCut,
}

impl Manifest {
    /// How long it took until all tasks had stored their state, if it is known.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.took_ms.map(Duration::from_millis)
    }

    /// The manifest as a JSON document with a checksum.
    ///
    /// # Errors
    /// `Internal` when it cannot be encoded, which does not happen.
    pub fn encode(&self) -> Result<Bytes> {
        document::encode(FORMAT, self)
    }

    /// The manifest that these bytes hold.
    ///
    /// # Errors
    /// `Corrupted` when they are not what [`Manifest::encode`] has written, `Unsupported` when a
    /// newer version wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_as(FORMAT, bytes)
    }

    pub(crate) fn decode_as(format: DocumentFormat, bytes: &[u8]) -> Result<Self> {
        let manifest: Self = document::decode(format, bytes)?;
        manifest.handles().try_for_each(check_handle)?;
        manifest.cuts.iter().try_for_each(check_cut)?;
        if manifest.checkpoint.0 > LAST_ID {
            return Err(
                Error::corrupted("a manifest has an impossible id").with("checkpoint", manifest.checkpoint)
            );
        }
        Ok(manifest)
    }

    /// Proves that the snapshots of the tasks are a consistent cut, from what they have stored of it.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn verify_cut(&self) -> Result<ConsistentCut, CutViolation> {
        let cuts = self.cuts.iter().map(|cut| (&cut.task, &cut.cut));
        ConsistentCut::verify(cuts, self.alignment)
    }

    /// All state handles of all operators.
    pub fn handles(&self) -> impl Iterator<Item = &StateHandle> {
        let subtasks = self.operators.values().flat_map(|operator| &operator.subtasks);
        subtasks.flat_map(SubtaskState::handles)
    }

    pub(crate) fn handles_mut(&mut self) -> impl Iterator<Item = &mut StateHandle> {
        let subtasks = self
            .operators
            .values_mut()
            .flat_map(|operator| &mut operator.subtasks);
        subtasks.flat_map(handles_mut)
    }

    /// The files that the manifest needs, each as often as it is referred to.
    pub fn files(&self) -> impl Iterator<Item = &StorageKey> {
        self.handles().filter_map(|handle| match &handle.location {
            StateLocation::File { key, .. } => Some(key),
            _ => None,
        })
    }

    /// What the sinks have pre-committed in this checkpoint itself.
    pub fn own_commits(&self) -> Vec<SubtaskCommit> {
        let mut commits = Vec::new();
        for (uid, operator) in &self.operators {
            let subtasks = (0..).map(SubtaskIndex).zip(&operator.subtasks);
            for (subtask, state) in subtasks.filter(|(_, state)| !state.committables.is_empty()) {
                commits.push(SubtaskCommit {
                    checkpoint: self.checkpoint,
                    operator: uid.clone(),
                    subtask,
                    committables: state.committables.clone(),
                });
            }
        }
        commits
    }

    /// What a restore must commit before anything else, oldest first: all commits of checkpoints
    /// after `committed`, the newest one that is known to be committed.
    pub fn commits_after(&self, committed: Option<CheckpointId>) -> Vec<SubtaskCommit> {
        let all = self.uncommitted.iter().cloned().chain(self.own_commits());
        all.filter(|commit| Some(commit.checkpoint) > committed).collect()
    }

    /// Checks that a job with this many key groups can restore the checkpoint.
    ///
    /// # Errors
    /// `Invalid` saying which setting to change.
    pub fn check_compatible(&self, max_parallelism: MaxParallelism) -> Result<()> {
        if self.max_parallelism == max_parallelism {
            return Ok(());
        }
        Err(Error::invalid(
            "the checkpoint was taken with another maximum parallelism, which cannot change; \
             set max_parallelism to that of the checkpoint, or start fresh",
        )
        .with("checkpoint", self.checkpoint)
        .with("of the checkpoint", self.max_parallelism.get())
        .with("of the job", max_parallelism.get()))
    }
}

/// All handles of a subtask.
pub(crate) fn handles_mut(state: &mut SubtaskState) -> impl Iterator<Item = &mut StateHandle> {
    let single = state.operator.iter_mut().chain(&mut state.channels);
    state.keyed.iter_mut().chain(single)
}

/// Manifests that do not say it are of aligned checkpoints.
fn aligned() -> BarrierAlignment {
    BarrierAlignment::Aligned
}

/// What a later reader takes for granted and a checksum does not show.
fn check_handle(handle: &StateHandle) -> Result<()> {
    match &handle.location {
        StateLocation::File { offset, .. } if offset.checked_add(handle.len).is_none() => Err(
            Error::corrupted("a manifest has a state handle with an impossible range"),
        ),
        _ => Ok(()),
    }
}

fn check_cut(cut: &SubtaskCut) -> Result<()> {
    let mut runs = cut.cut.channels.iter().flat_map(|channel| &channel.recorded);
    match runs.find(|run| run.from > run.to) {
        None => Ok(()),
        Some(_) => {
            Err(Error::corrupted("a manifest has an impossible run of batches").with("task", &cut.task))
        }
    }
}

#[cfg(test)]
mod tests;
