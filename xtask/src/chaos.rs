//! `cargo xtask chaos`: the crash test of the examples, longer.

use crate::workspace::cargo;
use clap::Args;

/// How long and how hard.
#[derive(Args)]
pub(crate) struct Options {
    /// How often WordCount is killed at least.
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// How long it goes on at least.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// With how many subtasks; 1 and 2 in turn when unset.
    #[arg(long)]
    parallelism: Option<u32>,
    /// Decides what happens when; printed by every run.
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let mut command = cargo();
    command
        .args([
            "test",
            "--package",
            "snapline-examples",
            "--test",
            "crash",
            "--",
            "--nocapture",
            "killed",
        ])
        .env("SNAPLINE_CHAOS_KILLS", options.kills.to_string())
        .env("SNAPLINE_CHAOS_SECONDS", options.seconds.to_string());
    if let Some(parallelism) = options.parallelism {
        command.env("SNAPLINE_CHAOS_PARALLELISM", parallelism.to_string());
    }
    if let Some(seed) = options.seed {
        command.env("SNAPLINE_CHAOS_SEED", seed.to_string());
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        return Ok("every word counted exactly once".to_owned());
    }
    Err("the crash test failed; its output names the seed that repeats it".to_owned())
}
