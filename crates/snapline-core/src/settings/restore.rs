//! What a job starts from instead of its own newest checkpoint.

use serde::{Deserialize, Serialize};

/// A savepoint to start from.
///
/// A job that was started from a savepoint and has taken checkpoints since resumes from these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSettings {
    /// The savepoint's path in the checkpoint storage of the job.
    pub path: String,
    /// Whose the savepoint is from then on.
    #[serde(default)]
    pub claim: ClaimMode,
}

/// Whose a savepoint is that a job was started from (FLIP-193).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClaimMode {
    /// The user's: the job never depends on it after its first own checkpoint, and never deletes it.
    #[default]
    NoClaim,
    /// The job's: it is deleted when the job no longer needs it.
    Claim,
}
