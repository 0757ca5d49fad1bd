//! How long no result comes while a job gets another parallelism.
//!
//! Records come at a fixed rate. A savepoint stops the job, and the same program goes on with it at the other parallelism.

use crate::expected::Totals;
use crate::job::{JobOptions, environment};
use crate::latency::{Pace, PacedSource};
use crate::random::mix;
use crate::report::Report;
use crate::usage::Usage;
use serde::Serialize;
use snapline::Result;
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use snapline_core::{Batch, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The parallelism of one run after the other.
const PARALLELISM: [u32; 3] = [1, 2, 1];

/// What is measured.
#[derive(Debug, Clone)]
pub struct RescaleOptions {
    /// How the job is run, its parallelism aside.
    pub job: JobOptions,
    /// How many records come in a second.
    pub rate: u64,
    /// How long the job has each parallelism.
    pub phase: Duration,
    /// How many keys there are.
    pub keys: u64,
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct RescaleReport {
    /// Those of all workloads. Its checkpoints are those of the last parallelism.
    #[serde(flatten)]
    pub report: Report,
    /// How many keys there are.
    pub keys: u64,
    /// How many records came in a second.
    pub rate: u64,
    /// The longest time without a result while nobody stopped the job.
    pub gap_ms_running: f64,
    /// The longest time without a result when it went from one subtask to two.
    pub gap_ms_up: f64,
    /// The longest time without a result when it went back to one.
    pub gap_ms_down: f64,
    /// From asking for the savepoint until the job had stopped, the longer one.
    pub stop_ms_max: f64,
}

/// Sums by key, with one subtask, two, and one.
///
/// # Errors
/// What made the job fail; `Invalid` without checkpoints, because savepoints go to their storage.
pub async fn run_rescale(options: &RescaleOptions) -> Result<(RescaleReport, Totals)> {
    if options.job.checkpoint_interval_ms == 0 {
        return Err(Error::invalid(
            "a job that is rescaled needs an interval of checkpoints",
        ));
    }
    let pace = Arc::new(Pace::per_second(options.rate)?);
    let seen = Arc::new(Seen::new(pace.clone()));
    let (mut gaps, mut stops) = (Vec::new(), Vec::new());
    let mut status = None;
    for (run, parallelism) in PARALLELISM.into_iter().enumerate() {
        let job = start(options, parallelism, run == 0, &seen).await?;
        if run + 1 == PARALLELISM.len() {
            status = Some(job.wait().await?.status);
            gaps.push(seen.take_longest());
            break;
        }
        pace.until(options.phase * (run as u32 + 1)).await;
        gaps.push(seen.take_longest());
        let before = pace.now_ns();
        job.savepoint(SavepointRequest::new(format!("savepoints/{run}")).suspend())
            .await?;
        job.wait().await?;
        stops.push(pace.now_ns() - before);
    }
    let (totals, seconds) = (seen.totals(), pace.now_ns() as f64 / 1e9);
    let mut report = Report::new("snapline", "rescale", totals.updates, seconds, Usage::now());
    if let Some(status) = status {
        report.add_job(&options.job, &status);
    }
    let ms = |nanos: &u64| *nanos as f64 / 1e6;
    let report = RescaleReport {
        report,
        keys: options.keys,
        rate: options.rate,
        gap_ms_running: ms(&gaps[0]),
        gap_ms_up: ms(&gaps[1]),
        gap_ms_down: ms(&gaps[2]),
        stop_ms_max: stops.iter().map(ms).fold(0.0, f64::max),
    };
    Ok((report, totals))
}

impl RescaleOptions {
    /// How many records come in all.
    pub fn records(&self) -> u64 {
        let millis = self.phase.as_millis() * PARALLELISM.len() as u128;
        u64::try_from(millis * u128::from(self.rate) / 1000).unwrap_or(u64::MAX)
    }
}

async fn start(
    options: &RescaleOptions,
    parallelism: u32,
    is_first: bool,
    seen: &Arc<Seen>,
) -> Result<JobHandle> {
    let env = environment(&JobOptions {
        parallelism,
        ..options.job.clone()
    })
    .await?;
    env.configure(|settings| settings.fresh = is_first);
    let keys = options.keys;
    // As many splits as there are ever subtasks.
    let source = PacedSource::new(options.records(), seen.pace.clone(), move |number, _| {
        (mix(number) % keys, 1_u64)
    });
    let seen = seen.clone();
    env.from_source(source.in_splits(2), "records")
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .sink_to(ForEachSink::new(move |batch: &mut Batch<(u64, u64)>| {
            seen.add(&batch.records);
        }));
    env.execute_async("rescale").await
}

/// What all subtasks of all sinks have seen.
struct Seen {
    pace: Arc<Pace>,
    updates: AtomicU64,
    sum: AtomicU64,
    last_ns: AtomicU64,
    longest_ns: AtomicU64,
}

impl Seen {
    fn new(pace: Arc<Pace>) -> Self {
        Self {
            pace,
            updates: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            longest_ns: AtomicU64::new(0),
        }
    }

    fn add(&self, records: &[(u64, u64)]) {
        let now = self.pace.now_ns();
        let before = self.last_ns.fetch_max(now, Ordering::Relaxed);
        self.longest_ns
            .fetch_max(now.saturating_sub(before), Ordering::Relaxed);
        let sum = records
            .iter()
            .fold(0_u64, |sum, (_, running)| sum.wrapping_add(*running));
        self.sum.fetch_add(sum, Ordering::Relaxed);
        self.updates.fetch_add(records.len() as u64, Ordering::Relaxed);
    }

    /// The longest time between two batches since this was last asked.
    fn take_longest(&self) -> u64 {
        self.longest_ns.swap(0, Ordering::Relaxed)
    }

    fn totals(&self) -> Totals {
        Totals {
            updates: self.updates.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::expect_keyed_sum;
    use crate::keys::Keys;
    use futures::executor::block_on;

    #[test]
    fn each_record_is_counted_once_over_all_parallelisms() {
        let folder = tempfile::tempdir().unwrap();
        let options = RescaleOptions {
            job: JobOptions {
                checkpoint_interval_ms: 20,
                checkpoint_dir: folder.path().to_owned(),
                ..JobOptions::without_checkpoints(1)
            },
            rate: 100_000,
            phase: Duration::from_millis(100),
            keys: 1000,
        };
        let (report, totals) = block_on(run_rescale(&options)).unwrap();
        let keys = Keys::Uniform { count: 1000 };
        assert_eq!(totals, expect_keyed_sum(options.records(), keys));
        assert!(report.gap_ms_up > 0.0 && report.gap_ms_down > 0.0, "{report:?}");
    }
}
