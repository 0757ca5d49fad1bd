//! Vector time: what each task knows of the history of all tasks.

use serde::{Deserialize, Serialize};

/// For every task of a job, by its position in the job, how many events of it are known (Mattern 1989,
/// Fidge 1988). Entries beyond the end are 0.
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
    pub fn get(&self, task: u32) -> u64 {
        self.entries.get(task as usize).copied().unwrap_or(0)
    }
}

impl FromIterator<u64> for VectorClock {
    fn from_iter<I: IntoIterator<Item = u64>>(entries: I) -> Self {
        let entries = entries.into_iter().collect();
        Self { entries }
    }
}
