//! How soon a job goes on: after its process was killed, and after one of its tasks panicked.
//!
//! The files of the newest checkpoint are in the page cache each time, since it was just written.

mod panicked;
mod process;
mod running;

pub use process::serve_recovery;

use crate::job::JobOptions;
use crate::report::Report;
use crate::usage::Usage;
use serde::Serialize;
use snapline_core::{Clock, SystemClock};
use std::error::Error;
use std::process::Command;
use std::time::Duration;

/// What recovers, and how often.
#[derive(Debug, Clone)]
pub struct RecoveryOptions {
    /// How the job is run.
    pub job: JobOptions,
    /// How large a full checkpoint is at least before it is compressed, in 10^6 bytes.
    pub state_mb: u64,
    /// How often the job is hit, in each way.
    pub kills: u32,
}

/// Where a process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between the two")]
pub enum Start {
    /// Without state, whatever checkpoints there are.
    Fresh,
    /// At the newest checkpoint.
    Resume,
}

/// The figures of one run. Times are in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryReport {
    /// What all workloads report: `records` were checked, and `seconds` is everything together. CPU
    /// time is absent because most of it is that of processes that were killed.
    #[serde(flatten)]
    pub report: Report,
    /// How often the job was hit, in each way.
    pub kills: u32,
    /// The size of the checkpoint that the last process was to restore.
    pub state_bytes: u64,
    /// From starting the process again to the first record at its sink.
    pub kill_first_record_ms_median: f64,
    /// The longest of them.
    pub kill_first_record_ms_max: f64,
    /// From the panic to the first record at the sink in the next attempt, with as much state.
    pub panic_first_record_ms_median: f64,
    /// The longest of them.
    pub panic_first_record_ms_max: f64,
    /// The same with 1 MB of state.
    pub panic_1mb_first_record_ms_median: f64,
    /// The longest of them.
    pub panic_1mb_first_record_ms_max: f64,
}

/// What one way to be hit has shown.
#[derive(Debug)]
struct Outcome {
    times: Vec<Duration>,
    records: u64,
    state_bytes: u64,
    /// Whether every sum was right and every start began at a checkpoint that was not too old.
    verified: bool,
}

/// Hits a job again and again and measures how soon it goes on.
///
/// `process` is the command of a process that calls [`serve_recovery`].
///
/// # Errors
/// What kept a job or a process from running.
pub fn run_recovery(
    options: &RecoveryOptions,
    process: impl Fn(Start) -> Command,
) -> Result<RecoveryReport, Box<dyn Error>> {
    let clock = SystemClock::new();
    let killed = process::kill_again_and_again(options.kills, process)?;
    let panicked = panicked::panic_again_and_again(options)?;
    let small = RecoveryOptions {
        state_mb: 1,
        ..options.clone()
    };
    let small = panicked::panic_again_and_again(&small)?;
    let all = [&killed, &panicked, &small];
    let usage = Usage {
        cpu_seconds: None,
        ..Usage::now()
    };
    let records = all.iter().map(|outcome| outcome.records).sum();
    let seconds = clock.monotonic().as_secs_f64();
    let mut report = Report::new("snapline", "recovery", records, seconds, usage);
    report.parallelism = options.job.parallelism;
    report.checkpoint_interval_ms = options.job.checkpoint_interval_ms;
    report.verified = all.iter().all(|outcome| outcome.verified);
    Ok(RecoveryReport {
        report,
        kills: options.kills,
        state_bytes: killed.state_bytes,
        kill_first_record_ms_median: median_ms(&killed.times),
        kill_first_record_ms_max: max_ms(&killed.times),
        panic_first_record_ms_median: median_ms(&panicked.times),
        panic_first_record_ms_max: max_ms(&panicked.times),
        panic_1mb_first_record_ms_median: median_ms(&small.times),
        panic_1mb_first_record_ms_max: max_ms(&small.times),
    })
}

fn median_ms(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let upper = times.get(times.len() / 2);
    let lower = times.get(times.len().saturating_sub(1) / 2);
    upper
        .zip(lower)
        .map_or(f64::NAN, |(a, b)| (*a + *b).as_secs_f64() * 500.0)
}

fn max_ms(times: &[Duration]) -> f64 {
    times
        .iter()
        .max()
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let times = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        assert_eq!(median_ms(&times(&[4, 1, 3, 2])), 2.5);
        assert_eq!(median_ms(&times(&[4, 1, 2])), 2.0);
        assert_eq!(max_ms(&times(&[4, 5, 2])), 5.0);
        assert!(median_ms(&[]).is_nan());
    }
}
