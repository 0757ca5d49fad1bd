//! Vector time: what each task knows of the history of all tasks.

mod history;

pub use history::{ChannelClock, TaskHistory};

use serde::{Deserialize, Serialize};
use snapline_core::ClockDelta;

/// For every task of a job, by its position in the job, how many events of it are known (Mattern 1989,
/// Fidge 1988). Entries beyond the end are 0.
///
/// # Examples
///
/// What one task tells another one is the difference to what it told before (Singhal and Kshemkalyani
/// 1992):
///
/// ```
/// use snapline_barrier::VectorClock;
///
/// let mut source = VectorClock::new(3);
/// let told = source.clone();
/// source.tick(0);
/// source.raise(2, 7);
/// let delta = source.delta_since(0, &told);
/// assert_eq!((delta.own, delta.others.as_slice()), (1, [(2, 7)].as_slice()));
///
/// let mut sink = VectorClock::from_iter([0, 4, 9]);
/// sink.apply(0, &delta);
/// assert_eq!(sink, VectorClock::from_iter([1, 4, 9]));
/// assert!(sink.covers(&source));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VectorClock {
    entries: Vec<u64>,
}

impl VectorClock {
    /// A clock that knows of nothing, for a job with this many tasks.
    pub fn new(tasks: usize) -> Self {
        Self {
            entries: vec![0; tasks],
        }
    }

    /// How many events of a task are known.
    #[inline]
    pub fn get(&self, task: u32) -> u64 {
        self.entries.get(task as usize).copied().unwrap_or(0)
    }

    /// One more event of a task. Returns its number, from 1.
    #[inline]
    pub fn tick(&mut self, task: u32) -> u64 {
        let entry = self.entry(task);
        *entry += 1;
        *entry
    }

    /// Learns that a task has had at least this many events. Returns whether that is news.
    #[inline]
    pub fn raise(&mut self, task: u32, events: u64) -> bool {
        let is_news = self.get(task) < events;
        if is_news {
            *self.entry(task) = events;
        }
        is_news
    }

    /// Learns all that another clock knows: the greater of both for every task.
    pub fn merge(&mut self, other: &Self) {
        if self.entries.len() < other.entries.len() {
            self.entries.resize(other.entries.len(), 0);
        }
        for (mine, theirs) in self.entries.iter_mut().zip(&other.entries) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Whether it knows all that another clock knows.
    pub fn covers(&self, other: &Self) -> bool {
        other.differences_since(self).next().is_none()
    }

    /// The tasks of which more is known than an earlier clock knew, with what is known.
    pub fn differences_since(&self, earlier: &Self) -> impl Iterator<Item = (u32, u64)> {
        let entries = (0..).zip(self.entries.iter().copied());
        entries.filter(|(task, events)| *events > earlier.get(*task))
    }

    /// What the task at the position `own` has to tell somebody who knows of `earlier`.
    pub fn delta_since(&self, own: u32, earlier: &Self) -> ClockDelta {
        let others = self.differences_since(earlier).filter(|(task, _)| *task != own);
        ClockDelta {
            own: self.get(own),
            others: others.collect(),
        }
    }

    /// Learns what a task tells.
    pub fn apply(&mut self, sender: u32, delta: &ClockDelta) {
        self.raise(sender, delta.own);
        for (task, events) in &delta.others {
            self.raise(*task, *events);
        }
    }

    fn entry(&mut self, task: u32) -> &mut u64 {
        let index = task as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, 0);
        }
        &mut self.entries[index]
    }
}

impl FromIterator<u64> for VectorClock {
    fn from_iter<I: IntoIterator<Item = u64>>(entries: I) -> Self {
        let entries = entries.into_iter().collect();
        Self { entries }
    }
}
