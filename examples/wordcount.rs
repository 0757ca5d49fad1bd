//! WordCount that may be killed at any moment: run the same command again, and every word counts once.
//!
//! Without arguments it counts a text that comes with the examples:
//!
//! ```text
//! cargo run -p snapline-examples --bin wordcount
//! ```
//!
//! With a checkpoint folder it survives. Press Ctrl-C, or pull the plug, and repeat the command:
//!
//! ```text
//! wordcount --input big.txt --output counts --checkpoint-dir checkpoints --parallelism 2
//! ```
//!
//! Expected output (some lines):
//!
//! ```text
//! barrel    1
//! barrel    11
//! river    8
//! snapshot    1
//! ```

#![allow(clippy::print_stderr, reason = "this is a program, not a library")]

mod progress;

use clap::{Parser, ValueEnum};
use progress::Progress;
use snapline::connectors::file::{ExistingOutput, InvalidUtf8};
use snapline::prelude::*;
use snapline::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHIPPED_TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/rivers.txt");

/// The name under which the checkpoints are kept.
const JOB: &str = "wordcount";

/// Counts words exactly once, whatever happens.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// A text file, a folder of text files, or a pattern; a text about rivers when unset.
    #[arg(long, default_value = SHIPPED_TEXT, hide_default_value = true)]
    input: PathBuf,
    /// Writes lines `word<TAB>count` to files in this folder, exactly once.
    #[arg(long, conflicts_with = "print")]
    output: Option<PathBuf>,
    /// Prints lines `word<TAB>count`, at least once. This is the default.
    #[arg(long)]
    print: bool,
    /// Keeps checkpoints in this folder and resumes from the newest.
    #[arg(long)]
    checkpoint_dir: Option<PathBuf>,
    /// How often there is a checkpoint.
    #[arg(long, default_value_t = 1000)]
    checkpoint_interval_ms: u64,
    /// Whether a checkpoint waits for records that queue, or takes them along.
    #[arg(long, value_enum, default_value_t = Alignment::Aligned)]
    alignment: Alignment,
    /// How many subtasks each operator has.
    #[arg(long, default_value_t = 1)]
    parallelism: u32,
    /// Ignores checkpoints and existing output, and starts at the beginning.
    #[arg(long)]
    fresh: bool,
    /// Emits every update of a count, or each count once at the end.
    #[arg(long, value_enum, default_value_t = Updates::Updates)]
    emit: Updates,
    /// Replaces bytes that are not UTF-8 instead of failing.
    #[arg(long)]
    lossy: bool,
    /// Says nothing unless something fails.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Updates {
    Updates,
    Final,
}

#[derive(Clone, Copy, ValueEnum)]
enum Alignment {
    /// Wait: small checkpoints.
    Aligned,
    /// Take along: fast checkpoints however much queues.
    Unaligned,
    /// Wait for 100 ms, then take along.
    Auto,
}

impl From<Alignment> for AlignmentSettings {
    fn from(alignment: Alignment) -> Self {
        match alignment {
            Alignment::Aligned => Self::Aligned,
            Alignment::Unaligned => Self::Unaligned,
            Alignment::Auto => Self::AlignedWithTimeout { timeout_ms: 100 },
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_options(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Errors speak of the library; whoever runs this program knows its options.
fn in_options(error: String) -> String {
    let names = [
        ("InvalidUtf8::Replace", "--lossy"),
        ("ExistingOutput::Replace", "--fresh"),
        ("or start over", "or start over with --fresh"),
        (
            "or start fresh and lose them",
            "or lose them and start over with --fresh",
        ),
        ("checkpoints.interval_ms", "--checkpoint-interval-ms"),
        ("lower it or raise max_parallelism", "lower it"),
    ];
    names
        .iter()
        .fold(error, |error, (name, option)| error.replace(name, option))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let env = environment(arguments)?;
    let lines = env.from_source(source(arguments), "lines");
    let counts = count_words(&lines, arguments.emit);
    match &arguments.output {
        Some(folder) => counts.sink_to(sink(folder, arguments.fresh)),
        None => counts.print(),
    };
    let job = env.execute_async(JOB).await?;
    Progress::new(arguments.quiet).follow(&job).await
}

fn environment(arguments: &Arguments) -> Result<StreamExecutionEnvironment> {
    let mut builder = StreamExecutionEnvironment::builder().parallelism(arguments.parallelism);
    if arguments.fresh {
        builder = builder.fresh();
    }
    let Some(folder) = &arguments.checkpoint_dir else {
        return builder.build();
    };
    let env = builder
        .checkpoint_storage(FileCheckpointStorage::open(folder)?)
        .build()?;
    refuse_other_jobs(folder)?;
    env.enable_checkpointing(Duration::from_millis(arguments.checkpoint_interval_ms));
    env.configure(|settings| {
        settings.checkpoints.get_or_insert_default().alignment = arguments.alignment.into();
    });
    Ok(env)
}

/// Several jobs may share a storage, each under its name. A folder that has only others was most likely
/// given by mistake.
fn refuse_other_jobs(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    let jobs: Vec<&String> = names.iter().filter(|name| !name.starts_with('.')).collect();
    match jobs.first() {
        Some(other) if !jobs.iter().any(|job| *job == JOB) => Err(Error::invalid(
            "the checkpoint directory belongs to another job; give this one a directory of its own",
        )
        .with("directory", folder.display())
        .with("other job", other)),
        _ => Ok(()),
    }
}

fn source(arguments: &Arguments) -> TextFileSource {
    let invalid = if arguments.lossy {
        InvalidUtf8::Replace
    } else {
        InvalidUtf8::Refuse
    };
    TextFileSource::new(&arguments.input).invalid_utf8(invalid)
}

fn sink(folder: &Path, fresh: bool) -> FileSink<String> {
    let existing = if fresh {
        ExistingOutput::Replace
    } else {
        ExistingOutput::Refuse
    };
    FileSink::lines(folder).on_existing(existing)
}

fn count_words(lines: &DataStream<String>, emit: Updates) -> DataStream<String> {
    let emit = match emit {
        Updates::Updates => Emit::Updates,
        Updates::Final => Emit::Final,
    };
    lines
        .flat_map(tokenize)
        .uid("tokenize")
        .key_by(|(word, _)| word.clone())
        .emit(emit)
        .sum(|(_, count)| count)
        .uid("count")
        .map(|(word, count)| format!("{word}\t{count}"))
        .uid("format")
}

/// Hands out each word of a line with the count 1.
fn tokenize(line: String, words: &mut Collector<'_, (String, u64)>) {
    let line = line.to_lowercase();
    for word in line
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        words.collect((word.to_owned(), 1));
    }
}
