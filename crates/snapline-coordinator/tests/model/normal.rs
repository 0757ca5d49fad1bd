//! Which states of a task are the same, although its machines remember different pasts.
//!
//! How many batches came before a barrier, which way it came, and which channels were recorded for it means nothing
//! once the checkpoint is over. Without these leftovers two checkpoints have a hundredth of the states. That
//! they mean nothing holds as long as handlers decide nothing about checkpoints that are over, and that is
//! checked at each decision. Only the public side of the machines is used: what is left out is what later calls
//! overwrite.

use crate::promise::{Outcome, Promise};
use crate::task::Task;
use snapline_barrier::{AlignmentAction, Breach, ChannelIndex, ChannelReceiver, ChannelStateRecorder};
use snapline_core::CheckpointId;
use std::hash::{Hash, Hasher};

/// A marker that no channel has delivered.
const NEVER: CheckpointId = CheckpointId(u64::MAX);

impl Hash for Task {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            state: own,
            open,
            transactions,
            senders,
            history,
            receivers,
            sent,
            handler,
            recorder,
            taken,
            control,
            over,
        } = self;
        for (receiver, sent) in receivers.iter().zip(sent) {
            hash_receiver(receiver, *sent, *over, state);
        }
        without_leftovers(recorder, receivers.len(), *over).hash(state);
        (own, open, transactions, senders, history).hash(state);
        (handler, taken, control).hash(state);
    }
}

/// What a receiver will accept from now on; and of its newest barrier how much was sent before it, unless the
/// checkpoint is over.
fn hash_receiver<H: Hasher>(receiver: &ChannelReceiver, sent: u64, over: CheckpointId, state: &mut H) {
    let latest = latest(receiver);
    if latest > over {
        (receiver, sent).hash(state);
        return;
    }
    (latest, receiver.received()).hash(state);
    let mut next = receiver.clone();
    let has_all_that_was_overtaken = next.on_cancel(NEVER).is_ok();
    if !has_all_that_was_overtaken {
        let overwritten = next.on_overtaking_barrier(NEVER, u64::MAX).is_ok();
        (next, overwritten).hash(state);
    }
}

/// The newest marker that a channel has delivered.
fn latest(receiver: &ChannelReceiver) -> CheckpointId {
    match receiver.check_cut(NEVER).map_err(|violation| violation.breach) {
        Err(Breach::BarrierMissing { epoch, .. }) => epoch,
        _ => NEVER,
    }
}

/// A recorder whose channels have all left behind what is over.
fn without_leftovers<B: Clone>(
    recorder: &ChannelStateRecorder<B>,
    inputs: usize,
    over: CheckpointId,
) -> ChannelStateRecorder<B> {
    let mut recorder = recorder.clone();
    for input in 0..u32::try_from(inputs).unwrap() {
        recorder.stop(over, ChannelIndex(input));
    }
    recorder
}

impl Task {
    /// Complains about a decision that would need what is left out.
    pub(crate) fn check_not_over(&self, action: &AlignmentAction) -> Outcome {
        let decided = match action {
            AlignmentAction::Snapshot { barrier, .. } => barrier.checkpoint,
            AlignmentAction::Record { checkpoint, .. }
            | AlignmentAction::StopRecording { checkpoint, .. }
            | AlignmentAction::Complete { checkpoint } => *checkpoint,
            _ => return Ok(()),
        };
        if decided > self.over {
            return Ok(());
        }
        Err(Promise::Protocol.broken(format!("{action:?}, but that checkpoint is over")))
    }
}
