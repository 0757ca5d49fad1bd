//! The vector clock of one task, and what it has told on each of its outputs.

use super::VectorClock;
use crate::cut::TaskClock;
use snapline_core::{ClockDelta, ConsistencyProof};

/// Above so many tasks, [`ConsistencyProof::Auto`] tells only on one of so many batches.
const AUTO: u32 = 64;

/// How many entries of other tasks a batch carries on average at most with [`ConsistencyProof::Auto`].
const OTHERS: u32 = 4;

/// Keeps the vector clock of one task. Its events are the snapshots it takes and the batches it sends.
///
/// Only differences travel (Singhal and Kshemkalyani, *An efficient implementation of vector clocks*,
/// 1992): a channel is told what the task has learned since it was told last. That needs channels that
/// deliver in order and lose nothing, which [`crate::ChannelReceiver`] checks.
///
/// # Contract
///
/// * [`Self::on_snapshot`] when the state is frozen, before anything is sent after it;
///   [`Self::on_send`] for every batch; [`Self::on_receive`] when a batch that carries a delta is about
///   to be processed, not when it is queued or recorded as channel state.
/// * All tasks of an attempt begin with nothing: clocks are not restored.
/// * Every event counts, also where nothing is told of it. With `Full` every batch tells all. With
///   `Auto` a batch tells the own entry, and the others when that costs little. With sampling most
///   tell nothing.
/// * The first batch of a channel and the first one after a snapshot always tell all. So neither hides a
///   contradiction: if a task has seen what another one did after its cut, then somewhere on the way a
///   batch sent after the cut of its sender was received before that of its receiver, and no later
///   than the first such batch of its channel.
/// * What others claim to know of the task itself is not learned: it shows as a contradiction in their
///   own clocks. Positions outside the job are ignored.
///
/// # Examples
///
/// ```
/// use snapline_barrier::{ChannelClock, TaskHistory};
/// use snapline_core::ConsistencyProof;
///
/// let mut source = TaskHistory::new(ConsistencyProof::Full, 0, 2);
/// let mut sink = TaskHistory::new(ConsistencyProof::Full, 1, 2);
/// let mut channel = ChannelClock::default();
///
/// source.on_snapshot();
/// let delta = source.on_send(&mut channel).unwrap();
/// sink.on_receive(0, &delta);
/// let cut = sink.on_snapshot().unwrap();
/// assert_eq!((cut.task, cut.clock.get(0), cut.clock.get(1)), (1, 2, 1));
/// ```
#[derive(Debug, Clone, Default, Hash)]
pub struct TaskHistory {
    kept: Option<Kept>,
}

/// What one output channel was told of the clock of its sender.
#[derive(Debug, Clone, Default, Hash)]
pub struct ChannelClock {
    /// `Kept::lessons` when it was told last.
    lessons: u64,
    /// `Kept::snapshots` when it was told last.
    snapshots: u64,
    /// How many batches to send before it is told again.
    untold: u32,
    /// How many times to tell the own entry before the others are told again.
    own_only: u32,
}

#[derive(Debug, Clone, Hash)]
struct Kept {
    task: u32,
    pace: Pace,
    clock: VectorClock,
    /// How many deltas brought something new.
    lessons: u64,
    /// For each entry the lesson that raised it last. Never for the own one.
    raised_by: Vec<u64>,
    snapshots: u64,
}

/// How often a channel is told.
#[derive(Debug, Clone, Copy, Hash)]
struct Pace {
    /// One of so many batches tells the own entry.
    every: u32,
    /// A batch that tells so many others pays for itself; more have to be made up for.
    others: u32,
}

impl TaskHistory {
    /// Keeps the clock of the task at this position, in a job with this many tasks, as the settings say.
    pub fn new(proof: ConsistencyProof, task: u32, tasks: u32) -> Self {
        let kept = pace(proof, tasks).map(|pace| Kept {
            task,
            pace,
            clock: VectorClock::new(tasks as usize),
            lessons: 0,
            raised_by: vec![0; tasks as usize],
            snapshots: 0,
        });
        Self { kept }
    }

    /// Keeps no clock.
    pub fn off() -> Self {
        Self::default()
    }

    /// What the task knows.
    pub fn clock(&self) -> Option<&VectorClock> {
        self.kept.as_ref().map(|kept| &kept.clock)
    }

    /// The task takes a snapshot. Returns the time of its cut, for the acknowledgement.
    pub fn on_snapshot(&mut self) -> Option<TaskClock> {
        let kept = self.kept.as_mut()?;
        kept.clock.tick(kept.task);
        kept.snapshots += 1;
        Some(TaskClock {
            task: kept.task,
            clock: kept.clock.clone(),
        })
    }

    /// The task sends a batch on this channel. Returns what goes with it. Allocates only when the task
    /// has learned of others since it told this channel.
    #[inline]
    #[must_use]
    pub fn on_send(&mut self, channel: &mut ChannelClock) -> Option<ClockDelta> {
        let kept = self.kept.as_mut()?;
        let own = kept.clock.tick(kept.task);
        if channel.snapshots != kept.snapshots {
            *channel = ChannelClock {
                lessons: channel.lessons,
                snapshots: kept.snapshots,
                ..ChannelClock::default()
            };
        }
        if channel.untold > 0 {
            channel.untold -= 1;
            return None;
        }
        channel.untold = kept.pace.every - 1;
        let others = kept.tell_others(channel);
        Some(ClockDelta { own, others })
    }

    /// The task is about to process a batch of the task at this position, which came with a delta.
    #[inline]
    pub fn on_receive(&mut self, sender: u32, delta: &ClockDelta) {
        if let Some(kept) = &mut self.kept {
            let lesson = kept.lessons + 1;
            kept.learn(sender, delta.own, lesson);
            for (task, events) in &delta.others {
                kept.learn(*task, *events, lesson);
            }
        }
    }
}

impl Kept {
    #[inline]
    fn learn(&mut self, task: u32, events: u64, lesson: u64) {
        let is_other = task != self.task;
        if let Some(raised_by) = self.raised_by.get_mut(task as usize)
            && is_other
            && self.clock.raise(task, events)
        {
            *raised_by = lesson;
            self.lessons = lesson;
        }
    }

    #[inline]
    fn tell_others(&self, channel: &mut ChannelClock) -> Vec<(u32, u64)> {
        if channel.own_only > 0 {
            channel.own_only -= 1;
            return Vec::new();
        }
        if channel.lessons == self.lessons {
            return Vec::new();
        }
        let others = self.learned_since(channel.lessons);
        channel.lessons = self.lessons;
        channel.own_only = others.len() as u32 / self.pace.others;
        others
    }

    fn learned_since(&self, lesson: u64) -> Vec<(u32, u64)> {
        let is_new = |raised_by: &u64| *raised_by > lesson;
        let count = self.raised_by.iter().filter(|by| is_new(by)).count();
        let mut learned = Vec::with_capacity(count);
        let tasks = (0..).zip(&self.raised_by).filter(|(_, by)| is_new(by));
        learned.extend(tasks.map(|(task, _)| (task, self.clock.get(task))));
        learned
    }
}

fn pace(proof: ConsistencyProof, tasks: u32) -> Option<Pace> {
    let (every, others) = match proof {
        ConsistencyProof::Off => return None,
        ConsistencyProof::Full => (1, u32::MAX),
        ConsistencyProof::Sampled { every } => (every.max(1), u32::MAX),
        _ if tasks > AUTO => (AUTO, OTHERS),
        _ => (1, OTHERS),
    };
    Some(Pace { every, others })
}
