//! How transactions and the groups that tell about them are named.

use snapline_core::{JobId, OperatorUid};

/// The names of one sink of one job.
#[derive(Debug, Clone)]
pub(super) struct Ids(String);

impl Ids {
    pub(super) fn new(prefix: &str, job: &JobId, operator: &OperatorUid) -> Self {
        Self(format!("{prefix}-{job}-{operator}"))
    }

    /// What all names begin with. It is also the name of the group that tells who uses them.
    pub(super) fn registry(&self) -> &str {
        &self.0
    }

    /// The transactional id of a slot of a subtask, and the name of the group that holds its token.
    pub(super) fn transaction(&self, subtask: u32, slot: u32) -> String {
        format!("{}-{subtask}-{slot}", self.0)
    }
}
