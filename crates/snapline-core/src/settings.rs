//! What a user can set, as plain data: from code, a file, or the environment.

use crate::barrier::BarrierAlignment;
use crate::error::{Error, Result};
use crate::key_group::MaxParallelism;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    /// Lets a checkpoint be restored that has state of operators which no longer exist.
    pub allow_non_restored_state: bool,
    /// How many records a batch has at the most. At least 1.
    pub batch_records: usize,
    /// How many bytes one channel holds at the most, not counting what records own elsewhere.
    pub channel_bytes: usize,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            parallelism: 1,
            max_parallelism: None,
            checkpoints: None,
            restart: None,
            fresh: false,
            allow_non_restored_state: false,
            batch_records: 1024,
            channel_bytes: 128 * 1024,
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
        require(
            self.parallelism >= 1,
            "parallelism",
            "at least 1",
            self.parallelism,
        )?;
        let groups = self.key_groups().get();
        if self.parallelism > groups {
            return Err(Error::invalid(
                "the parallelism is above the maximum parallelism; lower it or raise max_parallelism",
            )
            .with("parallelism", self.parallelism)
            .with("max_parallelism", groups));
        }
        require(
            self.batch_records >= 1,
            "batch_records",
            "at least 1",
            self.batch_records,
        )?;
        require(
            self.channel_bytes >= 1,
            "channel_bytes",
            "at least 1",
            self.channel_bytes,
        )?;
        self.checkpoints
            .as_ref()
            .map_or(Ok(()), CheckpointSettings::validate)
    }
}

/// What a restore guarantees for the state of the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckpointMode {
    /// Every record counts once.
    #[default]
    ExactlyOnce,
    /// No record is lost; after a failure some may count again. Nothing waits for alignment.
    AtLeastOnce,
}

impl CheckpointMode {
    /// How barriers are treated in this mode.
    pub fn alignment(self) -> BarrierAlignment {
        match self {
            Self::ExactlyOnce => BarrierAlignment::Aligned,
            Self::AtLeastOnce => BarrierAlignment::AtLeastOnce,
        }
    }
}

/// When and how checkpoints are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// From the start of one checkpoint to the start of the next, in milliseconds. At least 1.
    pub interval_ms: u64,
    /// A checkpoint that takes longer is given up, in milliseconds. At least 1.
    pub timeout_ms: u64,
    /// At least this long between the end of one checkpoint and the start of the next, in milliseconds.
    pub min_pause_ms: u64,
    /// The guarantee.
    pub mode: CheckpointMode,
    /// How many checkpoints may fail one after the other before the job fails.
    pub tolerable_failures: u32,
    /// How many completed checkpoints are kept. At least 1.
    pub retained: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            timeout_ms: 600_000,
            min_pause_ms: 0,
            mode: CheckpointMode::ExactlyOnce,
            tolerable_failures: 10,
            retained: 3,
        }
    }
}

impl CheckpointSettings {
    /// Default settings with this interval, rounded down to whole milliseconds.
    pub fn every(interval: Duration) -> Self {
        Self {
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// `Invalid` naming the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        require(
            self.interval_ms >= 1,
            "checkpoints.interval_ms",
            "at least 1",
            self.interval_ms,
        )?;
        require(
            self.timeout_ms >= 1,
            "checkpoints.timeout_ms",
            "at least 1",
            self.timeout_ms,
        )?;
        require(
            self.retained >= 1,
            "checkpoints.retained",
            "at least 1",
            self.retained,
        )
    }
}

/// What happens after a task failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RestartSettings {
    /// The job fails.
    None,
    /// The job restarts after the same delay each time, `attempts` times at the most.
    FixedDelay {
        /// How many restarts there may be.
        attempts: u32,
        /// The delay in milliseconds.
        delay_ms: u64,
    },
    /// The job restarts after a delay that grows with each failure and falls back after a time
    /// without one.
    ExponentialDelay {
        /// The first delay in milliseconds.
        initial_ms: u64,
        /// The longest delay in milliseconds.
        max_ms: u64,
        /// By how much the delay grows. At least 1.
        multiplier: f64,
        /// The delay starts again at `initial_ms` after this long without a failure, in milliseconds.
        reset_after_ms: u64,
        /// How many restarts without such a pause there may be; without a limit when unset.
        attempts: Option<u32>,
    },
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self::ExponentialDelay {
            initial_ms: 1,
            max_ms: 60_000,
            multiplier: 2.0,
            reset_after_ms: 600_000,
            attempts: Some(20),
        }
    }
}

fn require(holds: bool, setting: &'static str, rule: &str, given: impl std::fmt::Display) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::invalid(format!("{setting} must be {rule}")).with("given", given))
}

#[cfg(test)]
mod tests {
    use super::*;

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
