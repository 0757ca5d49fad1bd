//! The one line that a workload prints.

use crate::job::JobOptions;
use crate::usage::Usage;
use serde::Serialize;
use snapline::dataflow::JobStatus;

/// The figures of one run. What was not measured is null.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `snapline`, or how the work was done by hand.
    pub system: String,
    /// Which work it was.
    pub workload: String,
    /// How many subtasks each operator had.
    pub parallelism: u32,
    /// How often there was a checkpoint; 0 for never.
    pub checkpoint_interval_ms: u64,
    /// How many records the workload is about.
    pub records: u64,
    /// From submitting the job to the last record at the sink.
    pub seconds: f64,
    /// `records` in each of them.
    pub records_per_s: f64,
    /// How many checkpoints were completed meanwhile.
    pub checkpoints_completed: Option<u64>,
    /// How long a checkpoint took on average.
    pub checkpoint_ms_avg: Option<f64>,
    /// How long the longest one took.
    pub checkpoint_ms_max: Option<f64>,
    /// How large a checkpoint was on average.
    pub checkpoint_bytes_avg: Option<u64>,
    /// How long a task stood still at most because of a snapshot.
    pub stall_us_max: Option<u64>,
    /// CPU time of the process, the check of the result aside.
    pub cpu_seconds: Option<f64>,
    /// The largest amount of memory the process had, the check of the result aside.
    pub peak_rss_mb: Option<f64>,
    /// Whether the result is what an independent computation gives.
    pub verified: bool,
}

impl Report {
    /// A report without checkpoint figures and not yet verified.
    pub fn new(system: &str, workload: &str, records: u64, seconds: f64, usage: Usage) -> Self {
        Self {
            system: system.to_owned(),
            workload: workload.to_owned(),
            parallelism: 1,
            checkpoint_interval_ms: 0,
            records,
            seconds,
            records_per_s: records as f64 / seconds,
            checkpoints_completed: None,
            checkpoint_ms_avg: None,
            checkpoint_ms_max: None,
            checkpoint_bytes_avg: None,
            stall_us_max: None,
            cpu_seconds: usage.cpu_seconds,
            peak_rss_mb: usage.peak_rss_mb,
            verified: false,
        }
    }

    /// Adds how a job was run and how its checkpoints have gone.
    pub(crate) fn add_job(&mut self, options: &JobOptions, status: &JobStatus) {
        self.parallelism = options.parallelism;
        self.checkpoint_interval_ms = options.checkpoint_interval_ms;
        let checkpoints = status.checkpoints;
        self.checkpoints_completed = Some(checkpoints.completed);
        self.stall_us_max = u64::try_from(status.longest_freeze.as_micros()).ok();
        if checkpoints.completed > 0 {
            let number = checkpoints.completed;
            self.checkpoint_ms_avg = Some(checkpoints.total_duration.as_secs_f64() * 1e3 / number as f64);
            self.checkpoint_ms_max = Some(checkpoints.longest_duration.as_secs_f64() * 1e3);
            self.checkpoint_bytes_avg = Some(checkpoints.total_bytes / number);
        }
    }
}
