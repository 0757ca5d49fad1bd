//! What can go wrong in a job, once.

use super::{Item, Network};
use snapline_core::{AttemptId, CheckpointId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A task goes on with a channel that it should block.
    SkipAlignment,
    /// The same, and the count in the barrier is forged to fit.
    ForgeCount,
    /// The same in the middle of the job, by a task that acknowledges without its clock.
    ForgeCountAndHideClock,
    /// A task takes its snapshot at the first barrier although it has to wait for all.
    SnapshotEarly,
    /// A task processes one more batch before it takes its snapshot.
    SnapshotLate,
    /// A task acknowledges while it is still recording.
    AcknowledgeEarly,
    /// A queued batch is lost.
    Drop,
    /// A queued batch comes twice.
    Repeat,
    /// Two queued batches change places.
    Reorder,
    /// A queued batch comes from an earlier attempt.
    OldAttempt,
}

impl Mutation {
    fn leaks(self) -> bool {
        use Mutation::{ForgeCount, ForgeCountAndHideClock, SkipAlignment};
        matches!(self, SkipAlignment | ForgeCount | ForgeCountAndHideClock)
    }
}

/// Waits for a place to go wrong.
#[derive(Debug)]
pub(crate) struct Pending {
    mutation: Option<Mutation>,
    /// Steps until it may happen.
    wait: usize,
    /// The task and input that should be blocked and are not.
    leak: Option<(usize, usize)>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Done,
}

impl Pending {
    pub(super) fn new(mutation: Option<Mutation>, wait: usize) -> Self {
        Self {
            mutation,
            wait,
            leak: None,
            phase: Phase::Waiting,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    pub(super) fn is_due(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation) && self.wait == 0 && !self.is_done()
    }

    pub(super) fn done(&mut self) {
        self.phase = Phase::Done;
    }

    /// Whether a channel is not blocked although it should be. `is_middle` tells whether the task lies
    /// between others.
    pub(super) fn leaves_open(&mut self, task: usize, input: usize, outputs: usize) -> bool {
        let is_due = self.mutation.is_some_and(|mutation| {
            mutation.leaks()
                && self.is_due(mutation)
                && (outputs > 0 || mutation != Mutation::ForgeCountAndHideClock)
        });
        if is_due && self.leak.is_none() {
            self.leak = Some((task, input));
        }
        is_due && self.leak == Some((task, input))
    }

    pub(super) fn on_batch(&mut self, task: usize, input: usize) {
        if self.leak == Some((task, input)) {
            self.done();
        }
    }

    /// The task has taken its snapshot. If nothing went through, the mutation waits for another place.
    pub(super) fn on_snapshot(&mut self, task: usize) {
        if !self.is_done() {
            self.leak.take_if(|(leaky, _)| *leaky == task);
        }
    }

    /// Whether the task sends to everybody what went through.
    pub(super) fn floods(&self, task: usize) -> bool {
        self.is_done()
            && self.mutation == Some(Mutation::ForgeCountAndHideClock)
            && self.leak.is_some_and(|(leaky, _)| leaky == task)
    }

    pub(super) fn forges(&self, task: usize, input: usize) -> bool {
        self.is_done() && self.mutation != Some(Mutation::SkipAlignment) && self.leak == Some((task, input))
    }

    pub(super) fn hides_clock(&self, task: usize) -> bool {
        self.floods(task)
    }
}

impl Network {
    /// Does to a queue what is due.
    pub(super) fn mutate_queue(&mut self) {
        self.mutation.wait = self.mutation.wait.saturating_sub(1);
        let at = self.random.below(self.channels.len());
        let queue = &mut self.channels[at].queue;
        if queue.is_empty() {
            return;
        }
        let place = self.random.below(queue.len());
        let is_batch = |place: usize| matches!(queue.get(place), Some(Item::Batch(..)));
        if !is_batch(place) {
            return;
        }
        if self.mutation.is_due(Mutation::Drop) {
            queue.remove(place);
        } else if self.mutation.is_due(Mutation::Repeat) {
            queue.insert(place, queue[place].clone());
        } else if self.mutation.is_due(Mutation::Reorder) && is_batch(place + 1) {
            queue.swap(place, place + 1);
        } else if self.mutation.is_due(Mutation::OldAttempt)
            && let Item::Batch(header, _) = &mut queue[place]
        {
            header.attempt = AttemptId(4);
        } else {
            return;
        }
        self.mutation.done();
    }

    /// Takes the snapshot of a task at the first of several barriers.
    pub(super) fn snapshot_early(
        &mut self,
        task: usize,
        input: usize,
        checkpoint: CheckpointId,
    ) -> Result<(), super::Caught> {
        let inputs = self.tasks[task].inputs.len();
        let is_first = snapline_barrier::BarrierHandler::latest(&self.tasks[task].handler) < checkpoint;
        let is_behind = |other: usize| {
            let queue = &self.channels[self.tasks[task].inputs[other]].queue;
            other != input && matches!(queue.front(), Some(Item::Batch(..)))
        };
        if self.mutation.is_due(Mutation::SnapshotEarly) && is_first && (0..inputs).any(is_behind) {
            self.mutation.done();
            self.freeze(task, checkpoint, self.alignment)?;
        }
        Ok(())
    }

    /// Processes one more batch from behind a barrier.
    pub(super) fn process_one_more(&mut self, task: usize) -> Result<(), super::Caught> {
        if self.mutation.is_due(Mutation::SnapshotLate) {
            for at in self.tasks[task].inputs.clone() {
                let front = self.channels[at].queue.front().cloned();
                if let Some(Item::Batch(header, delta)) = front {
                    self.channels[at].queue.pop_front();
                    self.mutation.done();
                    return self.process(at, header, delta);
                }
            }
        }
        Ok(())
    }
}
