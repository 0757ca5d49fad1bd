//! What tasks and channels take that have nothing to do.

use crate::job::{JobOptions, environment};
use crate::report::Report;
use crate::usage::Usage;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline::Result;
use snapline::connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, SplitEnumerator,
};
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline_core::{Batch, CheckpointId, Clock, Error, SystemClock};
use std::task::{Context, Poll};

/// How the tasks are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Shape {
    /// One task for each subtask, and no channel.
    Chain,
    /// Two tasks for each subtask, and a channel from each of the first to each of the second.
    Shuffle,
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// Those of all workloads; there are no records.
    #[serde(flatten)]
    pub report: Report,
    /// How many tasks there are.
    pub tasks: u64,
    /// How many channels are between them.
    pub channels: u64,
    /// By how much the memory of the process has grown since the job was submitted, in 10^6 bytes.
    pub grown_mb: f64,
    /// CPU time, in seconds, for each second of the job.
    pub cpu_share: f64,
}

/// Runs a job without records until it has completed so many checkpoints.
///
/// # Errors
/// What made the job fail; `Unsupported` where memory cannot be measured.
pub async fn run_idle(shape: Shape, checkpoints: u64, options: &JobOptions) -> Result<IdleReport> {
    let env = environment(options).await?;
    let nothing = env.from_source(NothingYet, "nothing");
    match shape {
        Shape::Chain => nothing.map(|record| record + 1).sink_to(DiscardSink),
        Shape::Shuffle => nothing
            .key_by(|record| *record)
            .reduce(|sum, record| *sum += record)
            .sink_to(DiscardSink),
    };
    let (before, clock) = (Usage::now(), SystemClock::new());
    let handle = env.execute_async("idle").await?;
    for _ in 0..checkpoints {
        handle.checkpoint(CheckpointScope::Usual).await?;
    }
    let status = handle.status();
    let (after, seconds) = (Usage::now(), clock.monotonic().as_secs_f64());
    let resident = |usage: Usage| {
        usage
            .rss_mb
            .ok_or_else(|| Error::unsupported("the memory of a process is not known on this system"))
    };
    let cpu = after
        .cpu_seconds
        .zip(before.cpu_seconds)
        .map_or(0.0, |(after, before)| after - before);
    let mut report = Report::new("snapline", "idle", 0, seconds, after);
    report.add_job(options, &status);
    // There is no result to check but that nothing went wrong.
    report.verified = status.state == JobState::Running && status.restarts == 0;
    handle.cancel();
    let _cancelled = handle.wait().await;
    let subtasks = u64::from(options.parallelism);
    let (tasks, channels) = match shape {
        Shape::Chain => (subtasks, 0),
        Shape::Shuffle => (2 * subtasks, subtasks * subtasks),
    };
    Ok(IdleReport {
        report,
        tasks,
        channels,
        grown_mb: resident(after)? - resident(before)?,
        cpu_share: cpu / seconds,
    })
}

/// A source of which each reader waits for its first record.
struct NothingYet;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Silence;

impl SourceSplit for Silence {
    fn weight(&self) -> u64 {
        1
    }
}

impl Source for NothingYet {
    type Item = u64;
    type Split = Silence;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<Silence>>> {
        Ok(Box::new(OneEach))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<u64, Silence>>> {
        Ok(Box::new(Listening(Vec::new())))
    }
}

struct OneEach;

#[async_trait]
impl SplitEnumerator<Silence> for OneEach {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<Silence>> {
        Ok(vec![Silence; context.parallelism as usize])
    }
}

struct Listening(Vec<Silence>);

impl SourceReader<u64, Silence> for Listening {
    fn add_splits(&mut self, splits: Vec<Silence>) {
        self.0 = splits;
    }

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        _: &mut Batch<u64>,
        _: usize,
    ) -> Poll<Result<ReaderStatus>> {
        Poll::Pending
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Silence>> {
        Ok(self.0.clone())
    }
}
