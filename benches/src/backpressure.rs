//! Checkpoints of a job whose sink is slow, so that records queue on every channel.

mod slow_sink;

use crate::expected::Totals;
use crate::job::{JobOptions, environment};
use crate::random::mix;
use crate::report::Report;
use crate::usage::Usage;
use serde::Serialize;
use slow_sink::{Pace, SlowSink};
use snapline::Result;
use snapline::prelude::*;
use snapline_core::{Clock, Error, SystemClock};
use std::time::Duration;

/// What is measured.
#[derive(Debug, Clone)]
pub struct BackpressureOptions {
    /// How the job is run.
    pub job: JobOptions,
    /// How many records there are.
    pub records: u64,
    /// How many keys there are.
    pub keys: u64,
    /// How long each subtask of the sink takes for a batch.
    pub sink_delay: Duration,
    /// How many checkpoints are measured. Then the sink becomes fast, so that the result can be checked.
    pub checkpoints: u64,
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct BackpressureReport {
    /// Those of all workloads. Its checkpoints are those while the sink was slow.
    #[serde(flatten)]
    pub report: Report,
    /// How long each subtask of the sink took for a batch.
    pub sink_delay_us: u64,
    /// How much was in flight in the newest checkpoint while the sink was slow, in bytes.
    pub in_flight_bytes: u64,
}

/// Sums by key, in front of two more exchanges and a slow sink, and measures the checkpoints meanwhile.
///
/// # Errors
/// What made the job fail; `Unavailable` when it ended before there were enough checkpoints.
pub async fn run_backpressure(options: &BackpressureOptions) -> Result<(BackpressureReport, Totals)> {
    let env = environment(&options.job).await?;
    let (keys, clock, pace) = (options.keys, SystemClock::new(), Pace::start(options.sink_delay)?);
    let sink = SlowSink::new(pace.clone());
    let source = GeneratorSource::new(options.records, move |i| (mix(i) % keys, 1_u64));
    env.from_source(source, "records")
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .rebalance()
        .map(|record| record)
        .rebalance()
        .sink_to(sink.clone());
    let handle = env.execute_async("backpressure").await?;
    let status = loop {
        let status = handle.status();
        if status.checkpoints.completed >= options.checkpoints {
            break status;
        }
        if !matches!(status.state, JobState::Starting | JobState::Running) {
            handle.wait().await?;
            return Err(Error::unavailable(
                "the job ended before there were enough checkpoints; give it more records",
            )
            .with("completed", status.checkpoints.completed));
        }
        pace.wait(Duration::from_millis(1));
    };
    let newest = handle.checkpoints().history.last().cloned();
    let tasks = newest.iter().flat_map(|checkpoint| &checkpoint.acknowledged);
    let in_flight_bytes = tasks.map(|task| task.statistics.in_flight_bytes).sum();
    pace.hurry();
    handle.wait().await?;
    let totals = sink.totals();
    let seconds = clock.monotonic().as_secs_f64();
    let mut report = Report::new("snapline", "backpressure", totals.updates, seconds, Usage::now());
    report.add_job(&options.job, &status);
    let report = BackpressureReport {
        report,
        sink_delay_us: u64::try_from(options.sink_delay.as_micros()).unwrap_or(u64::MAX),
        in_flight_bytes,
    };
    Ok((report, totals))
}
