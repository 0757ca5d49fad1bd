//! Tasks that panic in a process that lives on.

use super::running::Running;
use super::{Outcome, RecoveryOptions, Start};
use snapline_core::Result;

/// Lets a task panic each time the state is full and a new checkpoint is complete.
pub(super) fn panic_again_and_again(options: &RecoveryOptions) -> Result<Outcome> {
    let running = Running::start(options, Start::Fresh, || {})?;
    let mut full = running.until_full(None)?;
    let mut times = Vec::new();
    let mut has_resumed = true;
    for _ in 0..options.kills {
        let newest = full.checkpoints.latest;
        times.push(running.panic_once()?);
        has_resumed &= running.status().restored >= newest;
        full = running.until_full(newest)?;
    }
    let (records, wrong) = running.checked();
    running.stop();
    Ok(Outcome {
        times,
        records,
        state_bytes: full.checkpoints.latest_bytes,
        verified: has_resumed && wrong == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{JobOptions, LiveState};
    use snapline::prelude::CheckpointMode;
    use snapline_core::{AlignmentSettings, Codec, ConsistencyProof};

    #[test]
    fn sums_go_on_after_a_panic() {
        for parallelism in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let options = RecoveryOptions {
                job: JobOptions {
                    parallelism,
                    checkpoint_interval_ms: 10,
                    mode: CheckpointMode::ExactlyOnce,
                    alignment: AlignmentSettings::Aligned,
                    proof: ConsistencyProof::Auto,
                    checkpoint_dir: folder.path().to_owned(),
                    compression: Codec::Lz4,
                    state: LiveState::Memory,
                },
                state_mb: 1,
                kills: 2,
            };
            let outcome = panic_again_and_again(&options).unwrap();
            assert!(outcome.verified && outcome.times.len() == 2, "{outcome:?}");
        }
    }
}
