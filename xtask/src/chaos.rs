//! `cargo xtask chaos`: the crash test of the examples, longer; or that of a sink.

use crate::workspace::cargo;
use clap::{Args, ValueEnum};
use std::process::Command;

/// How long and how hard.
#[derive(Args)]
pub(crate) struct Options {
    /// The job that is killed writes to this sink; else it is WordCount, with files.
    #[arg(long)]
    sink: Option<Sink>,
    /// How often the job is killed at least.
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// How often the server of a sink is killed at least.
    #[arg(long, default_value_t = 20)]
    restarts: u64,
    /// How long WordCount goes on at least.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// With how many subtasks WordCount runs; 1 and 2 in turn when unset.
    #[arg(long)]
    parallelism: Option<u32>,
    /// Decides what happens when; printed by every run.
    #[arg(long)]
    seed: Option<u64>,
}

/// What a server keeps of a job.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sink {
    /// Tables of PostgreSQL.
    Postgres,
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let (mut command, praise) = match options.sink {
        None => (wordcount(options), "every word counted exactly once"),
        Some(Sink::Postgres) => (
            postgres(options),
            "every row was there once, and nothing was left behind",
        ),
    };
    command.env("SNAPLINE_CHAOS_KILLS", options.kills.to_string());
    if let Some(seed) = options.seed {
        command.env("SNAPLINE_CHAOS_SEED", seed.to_string());
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        return Ok(praise.to_owned());
    }
    Err("the crash test failed; its output names the seed that repeats it".to_owned())
}

fn wordcount(options: &Options) -> Command {
    let mut command = cargo();
    command
        .args(["test", "--package=snapline-examples", "--test=crash"])
        .args(["--", "--nocapture", "killed"])
        .env("SNAPLINE_CHAOS_SECONDS", options.seconds.to_string());
    if let Some(parallelism) = options.parallelism {
        command.env("SNAPLINE_CHAOS_PARALLELISM", parallelism.to_string());
    }
    command
}

fn postgres(options: &Options) -> Command {
    let mut command = cargo();
    command
        .args([
            "test",
            "--package=snapline",
            "--features=postgres",
            "--test=postgres",
        ])
        .args(["--", "--nocapture", "killed"])
        .env("SNAPLINE_CHAOS_RESTARTS", options.restarts.to_string());
    command
}
