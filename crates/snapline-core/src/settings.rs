//! What a user can set, as plain data: from code, a file, or the environment.

mod checkpoint;
mod restart;
mod restore;

pub use checkpoint::{
    AlignmentSettings, CheckpointMode, CheckpointRetention, CheckpointSettings, Codec, ConsistencyProof,
};
pub use restart::RestartSettings;
pub use restore::{ClaimMode, RestoreSettings};

use crate::error::{Error, Result};
use crate::key_group::MaxParallelism;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The settings of a whole job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSettings {
    /// How many subtasks an operator has unless it says otherwise. At least 1.
    pub parallelism: u32,
    /// How many key groups there are; chosen from the parallelism when unset.
    pub max_parallelism: Option<MaxParallelism>,
    /// When and how checkpoints are taken; `None` takes only the final one, in memory.
    pub checkpoints: Option<CheckpointSettings>,
    /// What happens after a task failed.
    pub restart: Option<RestartSettings>,
    /// Ignores existing checkpoints and starts at the beginning.
    pub fresh: bool,
    /// Starts from a savepoint.
    pub restore: Option<RestoreSettings>,
    /// Lets a checkpoint be restored that has state of operators which no longer exist.
    pub allow_non_restored_state: bool,
    /// Keeps the state of the newest checkpoint in memory as it is written, from which a failed task
    /// restarts without reading the storage. Takes as much memory as a checkpoint is long, and twice as much
    /// while the next one is written; but state of a backend that keeps files of its own for a restart, as that on disk
    /// does, takes none. Without a restart strategy, or with a storage in memory, nothing is kept.
    pub local_recovery: bool,
    /// How many records a batch has at the most. At least 1.
    pub batch_records: usize,
    /// How many bytes one channel holds at the most, not counting what records own elsewhere.
    pub channel_bytes: usize,
    /// How many bytes may wait in memory on one channel that leads back in a loop, not counting what records own
    /// elsewhere. More waits in a file.
    pub loop_bytes: usize,
    /// The folder for files that are of no use when the process has ended; that of the system when unset.
    pub scratch_folder: Option<PathBuf>,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            parallelism: 1,
            max_parallelism: None,
            checkpoints: None,
            restart: None,
            fresh: false,
            restore: None,
            allow_non_restored_state: false,
            local_recovery: true,
            batch_records: 1024,
            channel_bytes: 128 * 1024,
            loop_bytes: 16 * 1024 * 1024,
            scratch_folder: None,
        }
    }
}

impl JobSettings {
    /// The number of key groups of the job.
    pub fn key_groups(&self) -> MaxParallelism {
        self.max_parallelism
            .unwrap_or_else(|| MaxParallelism::for_parallelism(self.parallelism))
    }

    /// The restart strategy: exponential delay when checkpoints are on, none otherwise, unless set.
    pub fn restart_strategy(&self) -> RestartSettings {
        match (&self.restart, &self.checkpoints) {
            (Some(chosen), _) => chosen.clone(),
            (None, Some(_)) => RestartSettings::default(),
            (None, None) => RestartSettings::None,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// `Invalid` naming the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        at_least_one("parallelism", self.parallelism.into())?;
        let groups = self.key_groups().get();
        if self.parallelism > groups {
            return Err(Error::invalid(
                "the parallelism is above the maximum parallelism; lower it or raise max_parallelism",
            )
            .with("parallelism", self.parallelism)
            .with("max_parallelism", groups));
        }
        at_least_one("batch_records", self.batch_records as u64)?;
        at_least_one("channel_bytes", self.channel_bytes as u64)?;
        if self.fresh && self.restore.is_some() {
            return Err(Error::invalid(
                "a job cannot both start fresh and from a savepoint; unset one of fresh and restore",
            ));
        }
        self.restart.as_ref().map_or(Ok(()), RestartSettings::validate)?;
        self.checkpoints
            .as_ref()
            .map_or(Ok(()), CheckpointSettings::validate)
    }
}

fn at_least_one(setting: &'static str, given: u64) -> Result<()> {
    if given >= 1 {
        return Ok(());
    }
    Err(Error::invalid(format!("{setting} must be at least 1")).with("given", given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_defaults_are_valid() {
        let settings = JobSettings {
            checkpoints: Some(CheckpointSettings::default()),
            ..JobSettings::default()
        };
        settings.validate().unwrap();
    }

    #[test]
    fn a_bad_setting_is_named_with_its_rule() {
        let good = JobSettings::default();
        let every = |ms| Some(CheckpointSettings::every(Duration::from_millis(ms)));
        let cases = [
            (
                JobSettings {
                    parallelism: 0,
                    ..good.clone()
                },
                "parallelism must be at least 1 (given: 0)",
            ),
            (
                JobSettings {
                    batch_records: 0,
                    ..good.clone()
                },
                "batch_records must be at least 1 (given: 0)",
            ),
            (
                JobSettings {
                    checkpoints: every(0),
                    ..good.clone()
                },
                "checkpoints.interval_ms must be at least 1 (given: 0)",
            ),
        ];
        for (settings, message) in cases {
            assert_eq!(settings.validate().unwrap_err().to_string(), message);
        }
        let wide = JobSettings {
            parallelism: 9,
            max_parallelism: MaxParallelism::new(8).ok(),
            ..good
        };
        let message = wide.validate().unwrap_err().to_string();
        assert!(
            message.contains("parallelism: 9, max_parallelism: 8"),
            "{message}"
        );
    }
}
