//! The workloads as Snapline programs, written as a user writes them.

use crate::expected::Totals;
use crate::keys::Keys;
use crate::pages::ask_for_small_pages;
use crate::random::mix;
use crate::report::Report;
use crate::usage::Usage;
use compact_str::CompactString;
use snapline::backends::file::FileStateBackend;
#[cfg(feature = "aws")]
use snapline::backends::object::ObjectCheckpointStorage;
use snapline::dataflow::JobStatus;
use snapline::prelude::*;
use snapline::{EnvironmentBuilder, Result};
#[cfg(not(feature = "aws"))]
use snapline_core::Error;
#[cfg(feature = "aws")]
use snapline_core::ErrorKind;
use snapline_core::{AlignmentSettings, Batch, Clock, Codec, ConsistencyProof, SystemClock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a job is run.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// How many subtasks each operator has.
    pub parallelism: u32,
    /// How often there is a checkpoint; 0 for never.
    pub checkpoint_interval_ms: u64,
    /// The guarantee.
    pub mode: CheckpointMode,
    /// How barriers are aligned.
    pub alignment: AlignmentSettings,
    /// Whether tasks keep vector clocks.
    pub proof: ConsistencyProof,
    /// Where checkpoints go: a directory, or the URL of an object store with the feature `aws`.
    pub checkpoint_dir: PathBuf,
    /// How checkpoints are compressed.
    pub compression: Codec,
    /// Where live state is.
    pub state: LiveState,
}

#[cfg(test)]
impl JobOptions {
    /// As few things as possible.
    pub(crate) fn without_checkpoints(parallelism: u32) -> Self {
        Self {
            parallelism,
            checkpoint_interval_ms: 0,
            mode: CheckpointMode::ExactlyOnce,
            alignment: AlignmentSettings::Aligned,
            proof: ConsistencyProof::Auto,
            checkpoint_dir: PathBuf::new(),
            compression: Codec::None,
            state: LiveState::Memory,
        }
    }
}

/// Where live state is.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum LiveState {
    /// In memory.
    Memory,
    /// On disk.
    File {
        /// The folder of scratch folders.
        folder: PathBuf,
        /// How much of it each subtask keeps in memory.
        memory_bytes: usize,
        /// How much of its files all subtasks together keep in memory.
        cache_bytes: u64,
    },
}

/// Counts the words of a file and emits every update.
///
/// # Errors
/// What made the job fail.
pub async fn run_word_count(input: &Path, options: &JobOptions) -> Result<(Report, Totals)> {
    let env = environment(options).await?;
    let sink = CountingSink::default();
    env.from_source(TextFileSource::new(input), "lines")
        .flat_map(tokenize)
        .key_by(|(word, _)| word.clone())
        .sum(|(_, count)| count)
        .sink_to(sink.of(|(_, count)| *count));
    let status = env.execute("wordcount").await?.status;
    Ok(sink.report("wordcount", options, &status))
}

/// Words of up to 24 bytes stay where their record is: with `String`, each of them would be allocated twice, once more as
/// the key.
fn tokenize(line: String, words: &mut Collector<'_, (CompactString, u64)>) {
    let line = line.to_lowercase();
    for word in line
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        words.collect((word.into(), 1));
    }
}

/// Sums value 1 for `records` records and emits every update.
///
/// # Errors
/// What made the job fail.
pub async fn run_keyed_sum(records: u64, keys: Keys, options: &JobOptions) -> Result<(Report, Totals)> {
    // A generator for each, so that it does not look at the kind for each record.
    match keys {
        Keys::Uniform { count } => run_sum_of(records, move |i| (mix(i) % count, 1), options).await,
        Keys::Zipf { .. } => run_sum_of(records, move |i| (keys.key(i), 1), options).await,
    }
}

async fn run_sum_of(
    records: u64,
    record: impl Fn(u64) -> (u64, u64) + Clone + Send + Sync + 'static,
    options: &JobOptions,
) -> Result<(Report, Totals)> {
    let env = environment(options).await?;
    let sink = CountingSink::default();
    env.from_source(GeneratorSource::new(records, record), "records")
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .sink_to(sink.of(|(_, sum)| *sum));
    let status = env.execute("keyed-sum").await?.status;
    Ok(sink.report("keyed-sum", options, &status))
}

pub(crate) async fn environment(options: &JobOptions) -> Result<StreamExecutionEnvironment> {
    let mut builder = StreamExecutionEnvironment::builder()
        .parallelism(options.parallelism)
        .fresh();
    if let LiveState::File {
        folder,
        memory_bytes,
        cache_bytes,
    } = &options.state
    {
        ask_for_small_pages();
        let backend = FileStateBackend::builder(folder)
            .memory_bytes(*memory_bytes)
            .cache_bytes(*cache_bytes);
        builder = builder.state_backend(backend.build());
    }
    if options.checkpoint_interval_ms == 0 {
        return builder.build();
    }
    let env = with_storage(builder, &options.checkpoint_dir).await?.build()?;
    let settings = CheckpointSettings {
        mode: options.mode,
        alignment: options.alignment,
        consistency_proof: options.proof,
        compression: options.compression,
        ..CheckpointSettings::every(Duration::from_millis(options.checkpoint_interval_ms))
    };
    env.configure(|job| job.checkpoints = Some(settings));
    Ok(env)
}

/// A server of an object store on loopback may be one that does not honour conditional creates; nobody else writes
/// here.
async fn with_storage(builder: EnvironmentBuilder, place: &Path) -> Result<EnvironmentBuilder> {
    match place.to_str().filter(|text| text.contains("://")) {
        None => Ok(builder.checkpoint_storage(FileCheckpointStorage::open(place)?)),
        #[cfg(feature = "aws")]
        Some(url) => {
            let storage = match ObjectCheckpointStorage::open(url).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    let alone = ObjectCheckpointStorage::builder(url).single_writer();
                    alone.build().await?
                }
                storage => storage?,
            };
            Ok(builder.checkpoint_storage(storage))
        }
        #[cfg(not(feature = "aws"))]
        Some(_) => Err(Error::unsupported("checkpoints at a URL need the feature `aws`")),
    }
}

/// Counts updates and adds up what they say, and notes when the last one came.
#[derive(Clone)]
pub(crate) struct CountingSink {
    clock: SystemClock,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    updates: AtomicU64,
    sum: AtomicU64,
    last_ns: AtomicU64,
}

impl Default for CountingSink {
    /// Time runs from here.
    fn default() -> Self {
        Self {
            clock: SystemClock::new(),
            seen: Arc::default(),
        }
    }
}

impl CountingSink {
    pub(crate) fn of<T: snapline_core::Data>(
        &self,
        running: impl Fn(&T) -> u64 + Clone + Send + Sync + 'static,
    ) -> ForEachSink<impl FnMut(&mut Batch<T>) + Clone + Send + Sync + 'static> {
        let sink = self.clone();
        ForEachSink::new(move |batch: &mut Batch<T>| {
            let sum = batch.records.iter().map(&running).fold(0, u64::wrapping_add);
            sink.seen.sum.fetch_add(sum, Ordering::Relaxed);
            sink.seen
                .updates
                .fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            let now = u64::try_from(sink.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
            sink.seen.last_ns.fetch_max(now, Ordering::Relaxed);
        })
    }

    pub(crate) fn report(
        &self,
        workload: &str,
        options: &JobOptions,
        status: &JobStatus,
    ) -> (Report, Totals) {
        let totals = Totals {
            updates: self.seen.updates.load(Ordering::Relaxed),
            sum: self.seen.sum.load(Ordering::Relaxed),
        };
        let seconds = self.seen.last_ns.load(Ordering::Relaxed) as f64 / 1e9;
        let mut report = Report::new("snapline", workload, totals.updates, seconds, Usage::now());
        report.add_job(options, status);
        (report, totals)
    }
}
