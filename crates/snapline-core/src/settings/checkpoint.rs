//! When and how checkpoints are taken.

use super::at_least_one;
use crate::barrier::BarrierAlignment;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

/// How an exactly-once checkpoint passes a task with several inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AlignmentSettings {
    /// Inputs that are ahead wait for the others. Snapshots are small, and slow where records queue.
    #[default]
    Aligned,
    /// Aligned while that is fast, unaligned when it takes longer than this.
    AlignedWithTimeout {
        /// From the start of the checkpoint, in milliseconds. Below the checkpoint timeout.
        timeout_ms: u64,
    },
    /// Nothing waits: what is in flight becomes part of the snapshot.
    Unaligned,
}

/// Whether tasks keep vector clocks, with which every checkpoint proves that it is a consistent cut.
///
/// The counts of every channel are compared in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ConsistencyProof {
    /// On every batch up to 64 tasks, on one of 64 batches above.
    #[default]
    Auto,
    /// On every batch.
    Full,
    /// On one of so many batches. At least 1.
    Sampled {
        /// How many.
        every: u32,
    },
    /// No clocks.
    Off,
}

/// What becomes of the checkpoints when the job is cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckpointRetention {
    /// They stay: running the program again resumes.
    #[default]
    RetainOnCancel,
    /// They are deleted: running the program again begins at the beginning.
    DeleteOnCancel,
}

/// How the blocks of state files are compressed. Files of any codec can be restored, whatever is set.
///
/// It is chosen by [`CheckpointSettings::compression`]. For a million counts each, of numbers and of words
/// (`cargo bench -p snapline-benches --features zstd --bench codec`: one thread, checksums included, nothing stored):
///
/// | codec | length, numbers | words | writes plain bytes, numbers | words | reads, numbers | words |
/// |---|---|---|---|---|---|---|
/// | none | 1.00 | 1.00 | 3.6 GiB/s | 3.3 GiB/s | 14 GiB/s | 12 GiB/s |
/// | lz4 | 1.00 | 0.72 | 1.6 GiB/s | 0.47 GiB/s | 14 GiB/s | 3.6 GiB/s |
/// | zstd | 0.76 | 0.50 | 0.93 GiB/s | 0.33 GiB/s | 1.6 GiB/s | 1.2 GiB/s |
///
/// A storage that takes less than some hundred megabytes a second, such as a bucket, gains by a shorter file what the
/// codec takes; a fast disk on the same machine may not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums, reason = "a reader must know every codec")]
pub enum Codec {
    /// Not at all.
    None,
    /// LZ4: takes little time.
    #[default]
    Lz4,
    /// Zstandard at its fastest level: shorter, and takes more time. Needs the feature `zstd`.
    Zstd,
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
    /// How exactly-once barriers are aligned.
    pub alignment: AlignmentSettings,
    /// How many checkpoints may be under way at the same time. At least 1; savepoints do not count.
    pub max_concurrent: u32,
    /// Whether tasks keep vector clocks.
    pub consistency_proof: ConsistencyProof,
    /// What becomes of the checkpoints when the job is cancelled.
    pub retention: CheckpointRetention,
    /// How many checkpoints may fail one after the other before the job fails.
    pub tolerable_failures: u32,
    /// How many completed checkpoints are kept. At least 1.
    pub retained: usize,
    /// Whether a checkpoint may store only what has changed and refer to files of the one before. Otherwise each holds
    /// all state itself: longer to write, and independent of the others.
    pub incremental: bool,
    /// How state files are compressed, those of savepoints as well.
    pub compression: Codec,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            timeout_ms: 600_000,
            min_pause_ms: 0,
            mode: CheckpointMode::ExactlyOnce,
            alignment: AlignmentSettings::Aligned,
            max_concurrent: 1,
            consistency_proof: ConsistencyProof::Auto,
            retention: CheckpointRetention::RetainOnCancel,
            tolerable_failures: 10,
            retained: 3,
            incremental: true,
            compression: Codec::Lz4,
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

    /// How barriers are treated with these settings.
    pub fn barrier_alignment(&self) -> BarrierAlignment {
        match (self.mode, self.alignment) {
            (CheckpointMode::AtLeastOnce, _) => BarrierAlignment::AtLeastOnce,
            (_, AlignmentSettings::Aligned) => BarrierAlignment::Aligned,
            (_, AlignmentSettings::AlignedWithTimeout { timeout_ms }) => {
                BarrierAlignment::AlignedWithTimeout { timeout_ms }
            }
            (_, AlignmentSettings::Unaligned) => BarrierAlignment::Unaligned,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// `Invalid` naming the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        at_least_one("checkpoints.interval_ms", self.interval_ms)?;
        at_least_one("checkpoints.timeout_ms", self.timeout_ms)?;
        at_least_one("checkpoints.retained", self.retained as u64)?;
        at_least_one("checkpoints.max_concurrent", self.max_concurrent.into())?;
        if let ConsistencyProof::Sampled { every } = self.consistency_proof {
            at_least_one("checkpoints.consistency_proof.sampled.every", every.into())?;
        }
        self.check_timeouts()?;
        self.check_unaligned()
    }

    fn check_timeouts(&self) -> Result<()> {
        if self.timeout_ms < self.interval_ms.min(LONG_ENOUGH_MS) {
            return Err(Error::invalid(
                "checkpoints.timeout_ms is below checkpoints.interval_ms, so that a slow checkpoint would be given \
                 up before the next one is due; raise the timeout or shorten the interval",
            )
            .with("timeout_ms", self.timeout_ms)
            .with("interval_ms", self.interval_ms));
        }
        match self.alignment {
            AlignmentSettings::AlignedWithTimeout { timeout_ms } if timeout_ms >= self.timeout_ms => {
                Err(Error::invalid(
                    "the alignment timeout is not below checkpoints.timeout_ms, so that a checkpoint would be given \
                     up before it becomes unaligned; lower the alignment timeout",
                )
                .with("alignment timeout_ms", timeout_ms)
                .with("timeout_ms", self.timeout_ms))
            }
            _ => Ok(()),
        }
    }

    fn check_unaligned(&self) -> Result<()> {
        if self.alignment == AlignmentSettings::Aligned {
            return Ok(());
        }
        if self.mode == CheckpointMode::AtLeastOnce {
            return Err(Error::invalid(
                "unaligned checkpoints are exactly-once; set checkpoints.alignment to aligned, or \
                 checkpoints.mode to exactly-once",
            ));
        }
        if self.max_concurrent > 1 {
            return Err(Error::invalid(
                "only one unaligned checkpoint can be under way at a time; set checkpoints.max_concurrent to 1, or \
                 checkpoints.alignment to aligned",
            )
            .with("max_concurrent", self.max_concurrent));
        }
        Ok(())
    }
}

/// A timeout as long as this suits any interval, in milliseconds.
const LONG_ENOUGH_MS: u64 = 600_000;

#[cfg(test)]
mod tests;
