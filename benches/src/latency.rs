//! How long a record takes from the moment it is due to the sink, at a given rate.
//!
//! Records are stamped with the time they are due, not with the time they are made: a job that stands still for a
//! while is late with every record of that time, and each of them counts.

mod alarm;
mod histogram;
mod paced_source;

use crate::expected::Totals;
use crate::job::{JobOptions, environment};
use crate::random::mix;
use crate::report::Report;
use crate::usage::Usage;
use histogram::Histogram;
pub(crate) use paced_source::{Pace, PacedSource};
use serde::Serialize;
use snapline::Result;
use snapline::dataflow::JobStatus;
use snapline::prelude::*;
use snapline_core::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many records the throughput is measured with.
const RECORDS_OF_THROUGHPUT: u64 = 20_000_000;

/// What is measured.
#[derive(Debug, Clone)]
pub struct LatencyOptions {
    /// How the job is run.
    pub job: JobOptions,
    /// How fast records come.
    pub rate: Rate,
    /// How long they come.
    pub duration: Duration,
    /// Records that are due before are checked but not measured.
    pub warm_up: Duration,
    /// How many keys there are.
    pub keys: u64,
}

/// How fast records come.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Rate {
    /// So many each second, at least 1.
    PerSecond(u64),
    /// A share of what the same job does when all records are due at once, in per cent, measured just before.
    Load(u64),
}

/// The figures of one run. Latencies are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyReport {
    /// Those of all workloads.
    #[serde(flatten)]
    pub report: Report,
    /// How many keys there are.
    pub keys: u64,
    /// How many records were due.
    pub due_records: u64,
    /// How many of them each second.
    pub rate: u64,
    /// What the job did when all records were due at once, if that was measured, in records each second.
    pub throughput: Option<u64>,
    /// Half of the records took at most so long.
    pub latency_us_p50: f64,
    /// 99 of 100.
    pub latency_us_p99: f64,
    /// 999 of 1,000.
    pub latency_us_p999: f64,
    /// 9,999 of 10,000.
    pub latency_us_p9999: f64,
    /// All.
    pub latency_us_max: f64,
}

/// Sums by key at a given rate and emits every update.
///
/// # Errors
/// What made the job fail.
pub async fn run_latency(options: &LatencyOptions) -> Result<(LatencyReport, Totals)> {
    let (rate, throughput) = match options.rate {
        Rate::PerSecond(rate) => (rate, None),
        Rate::Load(percent) => {
            let throughput = measure_throughput(options).await?;
            ((throughput * percent / 100).max(1), Some(throughput))
        }
    };
    let before = Usage::now().cpu_seconds;
    let records = records_within(options.duration, rate);
    let (seen, status) = run_job(options, records, Pace::per_second(rate)?).await?;
    let mut usage = Usage::now();
    usage.cpu_seconds = usage.cpu_seconds.zip(before).map(|(now, before)| now - before);
    let totals = seen.totals();
    let mut report = Report::new("snapline", "latency", totals.updates, seen.seconds(), usage);
    report.add_job(&options.job, &status);
    let of = |share| seen.latencies.quantile(share).as_secs_f64() * 1e6;
    let report = LatencyReport {
        report,
        keys: options.keys,
        due_records: records,
        rate,
        throughput,
        latency_us_p50: of(0.5),
        latency_us_p99: of(0.99),
        latency_us_p999: of(0.999),
        latency_us_p9999: of(0.9999),
        latency_us_max: of(1.0),
    };
    Ok((report, totals))
}

fn records_within(duration: Duration, rate: u64) -> u64 {
    u64::try_from(duration.as_millis() * u128::from(rate) / 1000).unwrap_or(u64::MAX)
}

/// In records each second.
async fn measure_throughput(options: &LatencyOptions) -> Result<u64> {
    let options = LatencyOptions {
        warm_up: Duration::ZERO,
        ..options.clone()
    };
    let (seen, _) = run_job(&options, RECORDS_OF_THROUGHPUT, Pace::at_once()?).await?;
    Ok((RECORDS_OF_THROUGHPUT as f64 / seen.seconds()) as u64)
}

/// Key, when it is due in nanoseconds of its pace, and value.
type Record = (u64, u64, u64);

async fn run_job(options: &LatencyOptions, records: u64, pace: Pace) -> Result<(Arc<Seen>, JobStatus)> {
    let env = environment(&options.job).await?;
    let keys = options.keys;
    let pace = Arc::new(pace);
    let seen = Arc::new(Seen::new(pace.clone(), options.warm_up));
    let source = PacedSource::new(records, pace, move |number, due| (mix(number) % keys, due, 1));
    env.from_source(source, "records")
        .key_by(|(key, _, _)| *key)
        .sum(|(_, _, value)| value)
        .sink_to(sink(seen.clone()));
    let status = env.execute("latency").await?.status;
    Ok((seen, status))
}

fn sink(
    seen: Arc<Seen>,
) -> ForEachSink<impl FnMut(&mut Batch<Record>) + Clone + Send + Sync + 'static + use<>> {
    ForEachSink::new(move |batch: &mut Batch<Record>| seen.add(&batch.records))
}

/// What all subtasks of the sink have seen.
struct Seen {
    pace: Arc<Pace>,
    warm_up_ns: u64,
    latencies: Histogram,
    updates: AtomicU64,
    sum: AtomicU64,
    last_ns: AtomicU64,
}

impl Seen {
    fn new(pace: Arc<Pace>, warm_up: Duration) -> Self {
        Self {
            pace,
            warm_up_ns: u64::try_from(warm_up.as_nanos()).unwrap_or(u64::MAX),
            latencies: Histogram::new(),
            updates: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        }
    }

    fn add(&self, records: &[Record]) {
        let now = self.pace.now_ns();
        let mut sum = 0_u64;
        for (_, due, running) in records {
            sum = sum.wrapping_add(*running);
            if *due >= self.warm_up_ns {
                self.latencies.add(now.saturating_sub(*due));
            }
        }
        self.sum.fetch_add(sum, Ordering::Relaxed);
        self.updates.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.last_ns.fetch_max(now, Ordering::Relaxed);
    }

    fn totals(&self) -> Totals {
        Totals {
            updates: self.updates.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }

    /// From the first record that was due to the last one at the sink.
    fn seconds(&self) -> f64 {
        self.last_ns.load(Ordering::Relaxed) as f64 / 1e9
    }
}
