//! `cargo xtask chaos`: the crash test of the examples, longer; or that of a sink.

use crate::ci::CLOUDS;
use crate::workspace::cargo;
use clap::{Args, ValueEnum};
use std::process::Command;

/// All sinks that are servers, with the object stores of the step that tests those.
pub(crate) const SERVERS: &str = "--features=kafka,nats,postgres";

/// How long and how hard.
#[derive(Args)]
pub(crate) struct Options {
    /// The job that is killed writes to this sink; else it is WordCount, with files.
    #[arg(long)]
    sink: Option<Sink>,
    /// The form of a sink that has several: prepared, staged or upsert of PostgreSQL; all in turn when unset.
    #[arg(long, requires = "sink")]
    form: Option<String>,
    /// How often the job is killed at least.
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// How often the server of a sink is killed, or cut off, at least.
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

/// What a job writes to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sink {
    /// Files in a folder.
    Files,
    /// Objects of moto, to which connections are cut.
    Objects,
    /// Topics of the broker for tests of krafka, which crashes and keeps its logs.
    Kafka,
    /// Streams of NATS, from another stream.
    Nats,
    /// Tables of PostgreSQL.
    Postgres,
}

impl Sink {
    /// What its test is called, and no other.
    fn test(self) -> &'static str {
        match self {
            Self::Files => "in_files",
            Self::Objects => "in_objects",
            Self::Kafka => "in_kafka",
            Self::Nats => "in_nats",
            Self::Postgres => "in_postgres",
        }
    }

    /// What it needs, and no more: object stores take minutes to build.
    fn features(self) -> &'static str {
        match self {
            Self::Files => "--features=",
            Self::Objects => CLOUDS,
            Self::Kafka | Self::Nats | Self::Postgres => SERVERS,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let (mut command, praise) = match options.sink {
        None => (wordcount(options), "every word counted exactly once"),
        Some(sink) => (
            of_sink(sink, options),
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

fn of_sink(sink: Sink, options: &Options) -> Command {
    let mut command = cargo();
    command
        .args(["test", "--package=snapline", sink.features(), "--test=killed"])
        .args(["--", "--nocapture", sink.test()])
        .env("SNAPLINE_CHAOS_RESTARTS", options.restarts.to_string());
    if let Some(form) = &options.form {
        command.env("SNAPLINE_CHAOS_FORM", form);
    }
    command
}
