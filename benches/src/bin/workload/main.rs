//! Runs one workload and prints one line of JSON.
//!
//! ```text
//! cargo run --release -p snapline-benches --bin workload -- wordcount --input FILE --baseline
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program, not a library"
)]

mod components;
mod exchange;
mod idle;
mod keyed_sum;
mod latency;
mod nexmark;
mod rescale;
mod windowed;
mod word_count;

use clap::{Args, Parser, Subcommand, ValueEnum};
use components::Components;
use exchange::Exchange;
use futures::executor::block_on;
use idle::Idle;
use keyed_sum::KeyedSum;
use latency::Latency;
use nexmark::Nexmark;
use rescale::Rescale;
use snapline::prelude::CheckpointMode;
use snapline_benches::{
    BackpressureOptions, BackpressureReport, Ceilings, JobOptions, Keys, LiveState, RecoveryOptions,
    RecoveryReport, Report, Start, TextSettings, Totals, Usage, expect_keyed_sum, run_backpressure,
    run_recovery, serve_recovery, write_text,
};
use snapline_core::{AlignmentSettings, Clock, Codec, ConsistencyProof, SystemClock};
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use windowed::Windowed;
use word_count::WordCount;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    about = "Runs one workload and prints one line of JSON",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Counts the words of a text and emits every update.
    Wordcount(WordCount),
    /// Sums values by key and emits every update.
    KeyedSum(KeyedSum),
    /// Counts by key in windows of event time.
    Windowed(Windowed),
    /// Finds the connected components of a graph in a loop.
    Loop(Components),
    /// Answers a query of Nexmark.
    Nexmark(Nexmark),
    /// Sends records from one subtask to another.
    Exchange(Exchange),
    /// Measures checkpoints while a slow sink lets records queue.
    Backpressure(Backpressure),
    /// Measures how long records take from when they are due to the sink.
    Latency(Latency),
    /// Measures what tasks and channels take that have nothing to do.
    Idle(Idle),
    /// Measures how long no result comes while a job gets another parallelism.
    Rescale(Rescale),
    /// Measures how soon a job goes on after a SIGKILL and after a panic.
    Recovery(Recovery),
    /// The process that `recovery` kills.
    #[command(hide = true)]
    RecoveryProcess(RecoveryProcess),
    /// Writes a text whose words follow Zipf's law.
    MakeText(MakeText),
    /// Measures what the machine can do.
    Machine(Machine),
}

#[derive(Args)]
struct Backpressure {
    /// How many records there are.
    #[arg(long, default_value_t = 20_000_000)]
    records: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How long each subtask of the sink takes for a batch.
    #[arg(long, default_value_t = 10_000)]
    sink_delay_us: u64,
    /// How many checkpoints are measured. Then the sink becomes fast.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoints: u64,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Recovery {
    /// How large a checkpoint is at least, in MB.
    #[arg(long, default_value_t = 50)]
    state_mb: u64,
    /// How often the job is hit, in each way.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// How many subtasks each operator has.
    #[arg(long, default_value_t = 1)]
    parallelism: u32,
    /// How often there is a checkpoint.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_interval_ms: u64,
    /// Where checkpoints go: a directory, or a URL such as s3://bucket/prefix with the feature `aws`.
    #[arg(long, default_value = "target/bench/checkpoints")]
    checkpoint_dir: PathBuf,
    /// How checkpoints are compressed.
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    compression: Compression,
    #[command(flatten)]
    state: StateOptions,
}

#[derive(Args)]
struct RecoveryProcess {
    #[command(flatten)]
    recovery: Recovery,
    /// Ignores the checkpoints that there are.
    #[arg(long)]
    fresh: bool,
}

/// What the other workloads understand.
#[derive(Args)]
struct Options {
    /// How many subtasks each operator has.
    #[arg(long, default_value_t = 1)]
    parallelism: u32,
    /// How often there is a checkpoint; 0 for never.
    #[arg(long, default_value_t = 1000)]
    checkpoint_interval_ms: u64,
    /// The guarantee, and how barriers are aligned.
    #[arg(long, value_enum, default_value_t = Mode::ExactlyOnce)]
    mode: Mode,
    /// Whether tasks keep vector clocks, with which a checkpoint proves that it is a consistent cut.
    #[arg(long, value_enum, default_value_t = Proof::On)]
    consistency_proof: Proof,
    /// Where checkpoints go: a directory, or a URL such as s3://bucket/prefix with the feature `aws`.
    #[arg(long, default_value = "target/bench/checkpoints")]
    checkpoint_dir: PathBuf,
    /// How checkpoints are compressed.
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    compression: Compression,
    #[command(flatten)]
    state: StateOptions,
    /// Does the work by hand, without any framework; wordcount and keyed-sum with parallelism 2 in two threads.
    #[arg(long, num_args = 0..=1, default_missing_value = "plain")]
    baseline: Option<Baseline>,
}

/// Where live state is.
#[derive(Args)]
struct StateOptions {
    /// Where live state is.
    #[arg(long, value_enum, default_value_t = StateBackend::Memory)]
    state_backend: StateBackend,
    /// How much of the state on disk each subtask keeps in memory, in 2^20 bytes.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    state_memory_mb: u16,
    /// How much of the files of state all subtasks together keep in memory, in 2^20 bytes.
    #[arg(long, default_value_t = 64)]
    state_cache_mb: u16,
    /// Where state on disk is.
    #[arg(long, default_value = "target/bench/state")]
    state_dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Exactly once, with aligned barriers.
    #[value(alias = "aligned")]
    ExactlyOnce,
    AtLeastOnce,
    /// Exactly once, with barriers that overtake.
    Unaligned,
    /// Exactly once, with barriers that overtake when they are not aligned after 100 ms.
    Auto,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum StateBackend {
    Memory,
    File,
}

#[derive(Clone, Copy, ValueEnum)]
enum Compression {
    None,
    Lz4,
    /// With the feature `zstd`.
    Zstd,
}

impl Compression {
    fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Proof {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum Baseline {
    /// As one writes it without a second thought.
    Plain,
    /// In batches that touch memory first (keyed-sum only).
    Prefetch,
}

#[derive(Args)]
struct MakeText {
    /// How long it is at least.
    #[arg(long)]
    bytes: u64,
    /// Which text it is.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many different words there are.
    #[arg(long, default_value_t = 50_000)]
    vocabulary: usize,
    /// Where it goes.
    #[arg(long)]
    output: PathBuf,
}

#[derive(Args)]
struct Machine {
    /// A folder on the disk that is measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let line = match Arguments::parse().work {
        Work::Wordcount(work) => serde_json::to_string(&work.run()?)?,
        Work::KeyedSum(work) => serde_json::to_string(&work.run()?)?,
        Work::Windowed(work) => serde_json::to_string(&work.run()?)?,
        Work::Loop(work) => serde_json::to_string(&work.run()?)?,
        Work::Nexmark(work) => serde_json::to_string(&work.run()?)?,
        Work::Exchange(work) => serde_json::to_string(&work.run()?)?,
        Work::Backpressure(work) => serde_json::to_string(&work.run()?)?,
        Work::Latency(work) => serde_json::to_string(&work.run()?)?,
        Work::Idle(work) => serde_json::to_string(&work.run()?)?,
        Work::Rescale(work) => serde_json::to_string(&work.run()?)?,
        Work::Recovery(work) => serde_json::to_string(&work.run()?)?,
        Work::RecoveryProcess(work) => return work.run(),
        Work::Machine(work) => serde_json::to_string(&Ceilings::measure(&work.dir)?)?,
        Work::MakeText(work) => return work.run(),
    };
    println!("{line}");
    Ok(())
}

impl MakeText {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let settings = TextSettings {
            bytes: self.bytes,
            seed: self.seed,
            vocabulary: self.vocabulary,
        };
        let mut file = BufWriter::new(File::create(&self.output)?);
        let written = write_text(&settings, &mut file)?;
        eprintln!("{written} bytes in {}", self.output.display());
        Ok(())
    }
}

impl Options {
    fn job(&self) -> JobOptions {
        JobOptions {
            parallelism: self.parallelism,
            checkpoint_interval_ms: self.checkpoint_interval_ms,
            mode: match self.mode {
                Mode::AtLeastOnce => CheckpointMode::AtLeastOnce,
                _ => CheckpointMode::ExactlyOnce,
            },
            alignment: match self.mode {
                Mode::ExactlyOnce | Mode::AtLeastOnce => AlignmentSettings::Aligned,
                Mode::Unaligned => AlignmentSettings::Unaligned,
                Mode::Auto => AlignmentSettings::AlignedWithTimeout { timeout_ms: 100 },
            },
            proof: match self.consistency_proof {
                Proof::On => ConsistencyProof::Full,
                Proof::Off => ConsistencyProof::Off,
            },
            checkpoint_dir: self.checkpoint_dir.clone(),
            compression: self.compression.codec(),
            state: self.state.live(),
        }
    }
}

impl StateOptions {
    fn live(&self) -> LiveState {
        match self.state_backend {
            StateBackend::Memory => LiveState::Memory,
            StateBackend::File => LiveState::File {
                folder: self.state_dir.clone(),
                memory_bytes: usize::from(self.state_memory_mb) << 20,
                cache_bytes: u64::from(self.state_cache_mb) << 20,
            },
        }
    }

    /// The same for another process.
    fn pass_on(&self, command: &mut Command) {
        if self.state_backend == StateBackend::File {
            command.args(["--state-backend", "file", "--state-memory-mb"]);
            command.arg(self.state_memory_mb.to_string());
            command
                .arg("--state-cache-mb")
                .arg(self.state_cache_mb.to_string());
            command.arg("--state-dir").arg(&self.state_dir);
        }
    }
}

impl Backpressure {
    fn run(self) -> Result<BackpressureReport, Box<dyn Error>> {
        if self.options.baseline.is_some() {
            return Err("backpressure has no baseline".into());
        }
        let options = BackpressureOptions {
            job: self.options.job(),
            records: self.records,
            keys: self.keys,
            sink_delay: Duration::from_micros(self.sink_delay_us),
            checkpoints: self.checkpoints,
        };
        let (mut report, totals) = block_on(run_backpressure(&options))?;
        let keys = Keys::Uniform { count: self.keys };
        report.report = verified(report.report, totals, expect_keyed_sum(self.records, keys));
        Ok(report)
    }
}

impl Recovery {
    fn run(&self) -> Result<RecoveryReport, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        run_recovery(&self.options(), |start| self.process(&program, start))
    }

    fn options(&self) -> RecoveryOptions {
        RecoveryOptions {
            job: JobOptions {
                parallelism: self.parallelism,
                checkpoint_interval_ms: self.checkpoint_interval_ms,
                mode: CheckpointMode::ExactlyOnce,
                alignment: AlignmentSettings::Aligned,
                proof: ConsistencyProof::Auto,
                checkpoint_dir: self.checkpoint_dir.clone(),
                compression: self.compression.codec(),
                state: self.state.live(),
            },
            state_mb: self.state_mb,
            kills: self.kills,
        }
    }

    /// The command of the process that is killed.
    fn process(&self, program: &Path, start: Start) -> Command {
        let mut command = Command::new(program);
        command.arg("recovery-process");
        for (name, number) in [
            ("--state-mb", self.state_mb),
            ("--kills", u64::from(self.kills)),
            ("--parallelism", u64::from(self.parallelism)),
            ("--checkpoint-interval-ms", self.checkpoint_interval_ms),
        ] {
            command.arg(name).arg(number.to_string());
        }
        command.arg("--checkpoint-dir").arg(&self.checkpoint_dir);
        command.args(["--compression", self.compression.name()]);
        self.state.pass_on(&mut command);
        if start == Start::Fresh {
            command.arg("--fresh");
        }
        command
    }
}

impl RecoveryProcess {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let start = if self.fresh { Start::Fresh } else { Start::Resume };
        serve_recovery(&self.recovery.options(), start)
    }
}

fn by_hand(
    system: &str,
    workload: &str,
    work: impl FnOnce(&mut Totals) -> std::io::Result<()>,
) -> std::io::Result<(Report, Totals)> {
    let clock = SystemClock::new();
    let mut totals = Totals::default();
    work(&mut totals)?;
    let seconds = clock.monotonic().as_secs_f64();
    Ok((
        Report::new(system, workload, totals.updates, seconds, Usage::now()),
        totals,
    ))
}

fn in_two_threads((mut report, totals): (Report, Totals)) -> (Report, Totals) {
    report.parallelism = 2;
    (report, totals)
}

fn verified(mut report: Report, totals: Totals, expected: Totals) -> Report {
    report.verified = totals == expected;
    if !report.verified {
        unexpected(totals, expected);
    }
    report
}

fn unexpected(totals: Totals, expected: Totals) {
    eprintln!("the result is {totals:?} but should be {expected:?}");
}
