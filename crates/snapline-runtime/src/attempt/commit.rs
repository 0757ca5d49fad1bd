//! What sinks have promised, kept.

use snapline_coordinator::SubtaskCommit;
use snapline_core::{AttemptId, CheckpointId, OperatorUid, Result};
use snapline_dataflow::ErasedCommitter;
use snapline_state::Committable;
use std::collections::{BTreeMap, BTreeSet};

/// The committers of all sinks.
pub(super) type Committers = BTreeMap<OperatorUid, Box<dyn ErasedCommitter>>;

/// Commits in order: a checkpoint completely before the next.
pub(super) async fn commit_all(committers: &mut Committers, commits: &[SubtaskCommit]) -> Result<()> {
    let mut by_checkpoint: BTreeMap<(CheckpointId, OperatorUid), Vec<Committable>> = BTreeMap::new();
    for commit in commits {
        let of_sink = by_checkpoint
            .entry((commit.checkpoint, commit.operator.clone()))
            .or_default();
        of_sink.extend(commit.committables.iter().cloned());
    }
    for ((checkpoint, operator), committables) in by_checkpoint {
        let Some(committer) = committers.get_mut(&operator) else {
            tracing::warn!(%operator, %checkpoint, "a sink that no longer exists had output to commit; it is dropped");
            continue;
        };
        let committed = committer.commit(committables).await;
        committed.map_err(|error| error.with("operator", operator).with("checkpoint", checkpoint))?;
    }
    Ok(())
}

/// Lets all sinks clean up what older attempts have left behind that belongs to no checkpoint up to the restored one.
pub(super) async fn recover_all(
    committers: &mut Committers,
    attempt: AttemptId,
    restored: Option<CheckpointId>,
) -> Result<()> {
    let sinks = committers.keys().cloned().collect();
    recover_some(committers, &sinks, attempt, restored).await
}

/// Lets these sinks do so.
pub(super) async fn recover_some(
    committers: &mut Committers,
    sinks: &BTreeSet<OperatorUid>,
    attempt: AttemptId,
    restored: Option<CheckpointId>,
) -> Result<()> {
    for (uid, committer) in committers.iter_mut().filter(|(uid, _)| sinks.contains(*uid)) {
        let recovered = committer.recover(attempt, restored).await;
        recovered.map_err(|error| error.with("operator", uid))?;
    }
    Ok(())
}
