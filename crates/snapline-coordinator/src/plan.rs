//! What a coordinator knows about its job, and how acknowledgements become a manifest.

use crate::manifest::{Manifest, ManifestSizes, OperatorManifest, SubtaskCommit};
use crate::pending::Collected;
use crate::statistics::CheckpointHistory;
use crate::store::layout;
use snapline_core::{
    AttemptId, CheckpointBarrier, CheckpointId, CheckpointSettings, Error, JobId, MaxParallelism,
    OperatorUid, Result, SubtaskId, SubtaskIndex,
};
use snapline_state::{StateHandle, StateLocation, SubtaskState};
use std::collections::{BTreeMap, BTreeSet};

/// What a [`crate::CheckpointCoordinator`] needs to know about the job.
#[derive(Debug, Clone)]
pub struct CoordinatorContext {
    /// The job.
    pub job: JobId,
    /// Its incarnation.
    pub attempt: AttemptId,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
    /// When checkpoints are taken; `None`: only on request.
    pub settings: Option<CheckpointSettings>,
    /// The tasks that must acknowledge.
    pub tasks: Vec<SubtaskId>,
    /// The operators that run in them.
    pub operators: Vec<OperatorPlan>,
    /// The newest id that was ever used; see [`crate::Restored::last_used`].
    pub last_used: CheckpointId,
    /// The checkpoint that the job was restored from, all of whose commits are done.
    pub latest_completed: Option<CheckpointId>,
    /// The tasks that had finished in that checkpoint: nothing is asked of them.
    pub finished: Vec<SubtaskId>,
    /// Lets the first periodic checkpoint start at a random time between the minimum pause and the
    /// interval, so that many jobs that start together do not take theirs together. `None`: it is one
    /// interval away.
    pub seed: Option<u64>,
    /// What has become of the checkpoints of earlier attempts; see [`crate::CheckpointCoordinator::history`].
    pub history: CheckpointHistory,
}

/// An operator whose state may be in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPlan {
    /// Its stable name.
    pub uid: OperatorUid,
    /// Its name for people.
    pub name: String,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The first operator of its chain: its subtasks run in the tasks of that name.
    pub chain: OperatorUid,
}

impl CoordinatorContext {
    /// The manifest of a checkpoint that all tasks have acknowledged.
    ///
    /// # Errors
    /// `Internal` when the acknowledgements do not fit the operators; `Unsupported` when union lists are not whole.
    pub(crate) fn manifest(
        &self,
        barrier: &CheckpointBarrier,
        parent: Option<CheckpointId>,
        collected: &Collected,
        uncommitted: Vec<SubtaskCommit>,
    ) -> Result<Manifest> {
        let mut operators = self.empty_operators();
        for (uid, subtask, state) in &collected.operators {
            place(&mut operators, uid, *subtask, state)?;
        }
        self.mark_finished(&mut operators, &collected.finished);
        require_whole_unions(&operators)?;
        operators.retain(|_, operator| operator.subtasks.iter().any(|state| !state.is_empty()));
        let mut manifest = Manifest {
            job: self.job.clone(),
            attempt: self.attempt,
            checkpoint: barrier.checkpoint,
            parent,
            kind: barrier.options.kind,
            alignment: barrier.options.alignment,
            finished: barrier.options.kind.ends_data(),
            created: barrier.created,
            took_ms: u64::try_from(collected.until_acknowledged.as_millis()).ok(),
            max_parallelism: self.max_parallelism,
            sizes: ManifestSizes::default(),
            operators,
            uncommitted,
            cuts: collected.cuts.clone(),
        };
        manifest.sizes = self.sizes(&manifest, barrier);
        Ok(manifest)
    }

    /// Whether a file was written for this checkpoint of this attempt, so that no other checkpoint
    /// can need it unless this one is complete.
    pub(crate) fn is_own_file(&self, handle: &StateHandle, checkpoint: CheckpointId) -> bool {
        let folder = layout::checkpoint_folder(&self.job, self.attempt, checkpoint);
        matches!(&handle.location, StateLocation::File { key, .. }
            if key.as_str().strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/')))
    }

    /// How many bytes were written for this checkpoint.
    pub(crate) fn written(&self, handle: &StateHandle, barrier: &CheckpointBarrier) -> u64 {
        let is_file = matches!(handle.location, StateLocation::File { .. });
        let is_own = match barrier.options.kind.is_savepoint() {
            true => is_file,
            false => self.is_own_file(handle, barrier.checkpoint),
        };
        if is_own { handle.len } else { 0 }
    }

    /// A finished subtask keeps what its task acknowledged before it finished, which is nothing in
    /// later checkpoints.
    fn mark_finished(
        &self,
        operators: &mut BTreeMap<OperatorUid, OperatorManifest>,
        finished: &BTreeSet<SubtaskId>,
    ) {
        for plan in &self.operators {
            let Some(operator) = operators.get_mut(&plan.uid) else {
                continue;
            };
            for (index, state) in (0..).map(SubtaskIndex).zip(&mut operator.subtasks) {
                let task = SubtaskId {
                    operator: plan.chain.clone(),
                    index,
                };
                state.finished |= finished.contains(&task);
            }
        }
    }

    fn empty_operators(&self) -> BTreeMap<OperatorUid, OperatorManifest> {
        let empty = |plan: &OperatorPlan| OperatorManifest {
            name: plan.name.clone(),
            parallelism: plan.parallelism,
            subtasks: vec![SubtaskState::default(); plan.parallelism as usize],
        };
        self.operators
            .iter()
            .map(|plan| (plan.uid.clone(), empty(plan)))
            .collect()
    }

    fn sizes(&self, manifest: &Manifest, barrier: &CheckpointBarrier) -> ManifestSizes {
        let subtasks = manifest
            .operators
            .values()
            .flat_map(|operator| &operator.subtasks);
        let written = manifest.handles().map(|handle| self.written(handle, barrier));
        ManifestSizes {
            total: subtasks.map(SubtaskState::len).sum(),
            written: written.sum(),
        }
    }
}

/// Checks that no union list lacks the items of subtasks that have finished.
fn require_whole_unions(operators: &BTreeMap<OperatorUid, OperatorManifest>) -> Result<()> {
    let is_torn = |operator: &&OperatorManifest| {
        let mut subtasks = operator.subtasks.iter();
        let is_missing = |state: &SubtaskState| state.finished && !state.has_unions;
        operator.subtasks.iter().any(|state| state.has_unions) && subtasks.any(is_missing)
    };
    match operators.values().find(is_torn) {
        None => Ok(()),
        Some(operator) => Err(Error::unsupported(
            "some subtasks of an operator with union lists have finished and others have not, so the lists are not \
             whole; let all of its subtasks end together, or keep what is shared in a broadcast map",
        )
        .with("operator", &operator.name)),
    }
}

fn place(
    operators: &mut BTreeMap<OperatorUid, OperatorManifest>,
    uid: &OperatorUid,
    subtask: SubtaskIndex,
    state: &SubtaskState,
) -> Result<()> {
    let slot = operators
        .get_mut(uid)
        .and_then(|operator| operator.subtasks.get_mut(subtask.as_usize()));
    match slot {
        Some(slot) if slot.is_empty() => {
            *slot = state.clone();
            Ok(())
        }
        Some(_) => Err(Error::internal(
            "two tasks have acknowledged state of the same subtask",
        )),
        None => Err(Error::internal(
            "a task has acknowledged state of a subtask that the job does not have",
        )),
    }
    .map_err(|error| error.with("operator", uid).with("subtask", subtask))
}
