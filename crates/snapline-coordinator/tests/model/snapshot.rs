//! What a task does at its snapshot, and when the checkpoint is whole.

use crate::flaw::Flaw;
use crate::job::Net;
use crate::promise::{Outcome, Promise};
use crate::record::Record;
use crate::sent::Sent;
use crate::task::Taken;
use crate::world::World;
use snapline_barrier::{
    ChannelCut, ChannelReceiver, ProtocolViolation, RecordedChannel, TaskCut, verify_aligned_cut,
    verify_unaligned_cut,
};
use snapline_core::{BarrierAlignment, CheckpointBarrier, CheckpointId, StreamElement};

impl World {
    pub(crate) fn snapshot(&mut self, index: usize, barrier: CheckpointBarrier) -> Outcome {
        let (checkpoint, alignment) = (barrier.checkpoint, barrier.options.alignment);
        let (attempt, job) = (self.attempt, self.job.clone());
        let (plan, is_head) = (&job.tasks[index], job.is_head(index));
        let regular = plan.inputs.len() - usize::from(is_head);
        if job.net == Net::Task {
            let receivers = &self.tasks[index].receivers;
            let verified = match alignment {
                BarrierAlignment::AtLeastOnce => Ok(Vec::new()),
                BarrierAlignment::Unaligned => verify_unaligned_cut(receivers, checkpoint),
                _ => verify_aligned_cut(&receivers[..regular], checkpoint),
            };
            verified.map_err(|violation| self.broken(index, violation))?;
        }
        let task = &mut *self.tasks[index];
        task.pre_commit(plan.role, attempt, checkpoint);
        if job.flaw == Some(Flaw::CommitAtSnapshot) {
            let promised: Vec<_> = task
                .transactions
                .iter()
                .map(|promised| (checkpoint, promised.clone()))
                .collect();
            self.commit_all(&promised)?;
        }
        let task = &mut *self.tasks[index];
        let sent = |receiver: &ChannelReceiver| {
            let is_at_cut = receiver.check_cut(checkpoint).is_ok();
            is_at_cut.then_some(receiver.received())
        };
        let taken = Taken {
            alignment,
            state: task.state.clone(),
            transactions: task.transactions.clone(),
            received: task
                .receivers
                .iter()
                .map(|receiver| receiver.received())
                .collect(),
            sent: task.receivers.iter().map(sent).collect(),
            clock: task.history.on_snapshot(),
        };
        task.taken.insert(checkpoint, taken);
        if job.flaw == Some(Flaw::ForwardLate(index)) && self.tasks[index].state.read < job.reads {
            self.read(index)?;
        }
        self.forward(index, barrier)
    }

    pub(crate) fn forward(&mut self, index: usize, barrier: CheckpointBarrier) -> Outcome {
        let miscounted = u64::from(self.job.flaw == Some(Flaw::MiscountSent(index)));
        self.put_marker(index, barrier.checkpoint, |sender| StreamElement::Barrier {
            barrier,
            sent: sender.on_barrier(barrier.checkpoint).saturating_sub(miscounted),
        })
    }

    /// All barriers are in: the snapshot and what was recorded belong together.
    pub(crate) fn complete(&mut self, index: usize, checkpoint: CheckpointId) -> Outcome {
        let task = &mut *self.tasks[index];
        let Some(taken) = task.taken.remove(&checkpoint) else {
            return Err(
                Promise::Protocol.broken(format!("checkpoint {checkpoint} is complete before its snapshot"))
            );
        };
        let recorded = task.recorder.take(checkpoint);
        let channels = self
            .cuts(index, checkpoint, &taken, &recorded)
            .map_err(|violation| self.broken(index, violation))?;
        let cut = match self.job.net {
            Net::Oracle => TaskCut::default(),
            _ => TaskCut {
                channels,
                clock: taken.clock.clone(),
            },
        };
        self.send_acknowledgement(index, checkpoint, Sent::new(taken, recorded, cut));
        Ok(())
    }

    fn cuts(
        &self,
        index: usize,
        checkpoint: CheckpointId,
        taken: &Taken,
        recorded: &[RecordedChannel<Record>],
    ) -> Result<Vec<ChannelCut>, ProtocolViolation> {
        let task = &self.tasks[index];
        let cut = |input: usize| {
            let runs = recorded
                .iter()
                .find(|channel| channel.channel.as_usize() == input);
            let runs = runs.map_or_else(Vec::new, RecordedChannel::runs);
            let received = taken.received[input];
            let counted = |sent| ChannelCut {
                received,
                sent,
                recorded: runs.clone(),
            };
            let is_unchecked = self.job.net > Net::Task || taken.alignment == BarrierAlignment::AtLeastOnce;
            match taken.sent[input] {
                sent if is_unchecked => return Ok(counted(sent.unwrap_or(task.sent[input]))),
                // A newer barrier may have come since this one, while the task waited for a loop.
                Some(sent) if task.handler.latest() > checkpoint => return Ok(counted(sent)),
                _ => {}
            }
            task.receivers[input].recorded_cut(checkpoint, received, runs)
        };
        (0..task.receivers.len()).map(cut).collect()
    }
}
