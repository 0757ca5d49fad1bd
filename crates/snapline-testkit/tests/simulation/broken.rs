//! Sources, sinks and operators that are not exactly once: each is found within a few seeds.

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use snapline_connector::{
    Committer, CommitterContext, DiscoveredSplits, DiscoveryContext, NoCommitter, ReaderContext,
    ReaderStatus, SeenSplits, Sink, SinkWriter, Source, SourceReader, SplitEnumerator, WriterContext,
    nothing_to_commit,
};
use snapline_core::{Batch, CheckpointId, Result};
use snapline_dataflow::StreamExecutionEnvironment;
use snapline_testkit::simulation::{Failure, Faults, Output, Simulation, World, WorldSource, WorldSplit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

const RECORDS: u64 = 60;

/// Within how many seeds a defect has to be found.
const SEEDS: u64 = 20;

/// The job fails within the seeds; says how.
fn find(job: fn(&StreamExecutionEnvironment, &World)) -> Box<Failure> {
    let found = Simulation::seeds(0..SEEDS)
        .run(job)
        .check_exactly_once(0..RECORDS);
    found.expect_err("the defect was not found")
}

fn check(job: fn(&StreamExecutionEnvironment, &World), reason: &str, trace: &str) {
    let failure = find(job);
    assert!(failure.reason.contains(reason), "{failure}");
    assert!(failure.trace.contains(trace), "{failure}");
    let again = find(job);
    assert_eq!(again.to_string(), failure.to_string());
}

/// How a sink is broken.
#[derive(Debug, Clone, Copy)]
enum Defect {
    /// Its records are visible as soon as they are written.
    Early,
    /// They are visible when they are pre-committed.
    AtPreCommit,
    /// Each call of `commit` makes them visible, also a repeated one.
    Twice,
    /// What it has pre-committed is in the memory of the process.
    Forgetful,
}

struct BrokenSink {
    defect: Defect,
    output: Output<u64>,
    /// What is in the memory of the process.
    memory: Arc<Mutex<Vec<Vec<u64>>>>,
}

fn broken_sink(world: &World, defect: Defect) -> BrokenSink {
    BrokenSink {
        defect,
        output: world.output(),
        memory: Arc::default(),
    }
}

struct BrokenWriter {
    defect: Defect,
    output: Output<u64>,
    memory: Arc<Mutex<Vec<Vec<u64>>>>,
    records: Vec<u64>,
}

struct BrokenCommitter {
    output: Output<u64>,
    memory: Arc<Mutex<Vec<Vec<u64>>>>,
}

/// The records themselves, or where they are in memory.
type Part = (Vec<u64>, Option<u64>);

impl Sink<u64> for BrokenSink {
    type Committable = Part;

    fn writer(&self, _: WriterContext) -> Result<Box<dyn SinkWriter<u64, Part>>> {
        Ok(Box::new(BrokenWriter {
            defect: self.defect,
            output: self.output.clone(),
            memory: self.memory.clone(),
            records: Vec::new(),
        }))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<Part>>> {
        Ok(match self.defect {
            Defect::Early | Defect::AtPreCommit => Box::new(NoCommitter),
            Defect::Twice | Defect::Forgetful => Box::new(BrokenCommitter {
                output: self.output.clone(),
                memory: self.memory.clone(),
            }),
        })
    }
}

impl SinkWriter<u64, Part> for BrokenWriter {
    fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        match self.defect {
            Defect::Early => self.output.publish(batch.records.drain(..)),
            _ => {
                self.records.append(&mut batch.records);
                Ok(())
            }
        }
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<Part>>>> {
        let records = std::mem::take(&mut self.records);
        let part = match self.defect {
            Defect::Early => return Ok(nothing_to_commit()),
            Defect::AtPreCommit => {
                self.output.publish(records)?;
                return Ok(nothing_to_commit());
            }
            Defect::Twice => (records, None),
            Defect::Forgetful => {
                let mut memory = self.memory.lock().unwrap();
                memory.push(records);
                (Vec::new(), Some(memory.len() as u64 - 1))
            }
        };
        Ok(ready(Ok(vec![part])).boxed())
    }
}

#[async_trait]
impl Committer<Part> for BrokenCommitter {
    async fn commit(&mut self, parts: Vec<Part>) -> Result<()> {
        for (records, place) in parts {
            self.output.publish(records)?;
            let mut memory = self.memory.lock().unwrap();
            if let Some(kept) = place.and_then(|place| memory.get_mut(place as usize)) {
                self.output.publish(kept.drain(..))?;
            }
        }
        Ok(())
    }
}

fn into_broken_sink(env: &StreamExecutionEnvironment, world: &World, defect: Defect) {
    env.from_source(world.source(0..RECORDS), "numbers")
        .map(|number| number)
        .sink_to(broken_sink(world, defect));
}

#[test]
fn a_sink_whose_records_are_visible_at_once_is_found() {
    check(
        |env, world| into_broken_sink(env, world, Defect::Early),
        "0 records are missing",
        "starts",
    );
}

#[test]
fn a_sink_whose_records_are_visible_before_the_checkpoint_is_complete_is_found() {
    check(
        |env, world| into_broken_sink(env, world, Defect::AtPreCommit),
        "0 records are missing",
        "snapshot for checkpoint",
    );
}

#[test]
fn a_sink_that_commits_twice_is_found() {
    check(
        |env, world| into_broken_sink(env, world, Defect::Twice),
        "0 records are missing",
        "commits checkpoint",
    );
}

#[test]
fn a_sink_that_forgets_what_it_has_pre_committed_is_found() {
    check(
        |env, world| into_broken_sink(env, world, Defect::Forgetful),
        " 0 too many",
        "KILLED",
    );
}

/// Tells checkpoints positions that are not its own.
struct BrokenSource {
    inner: WorldSource<u64>,
    /// How much of each position is told.
    tell: fn(Vec<WorldSplit>, Vec<WorldSplit>) -> Vec<WorldSplit>,
}

struct BrokenReader {
    inner: Box<dyn SourceReader<u64, WorldSplit>>,
    first: Vec<WorldSplit>,
    tell: fn(Vec<WorldSplit>, Vec<WorldSplit>) -> Vec<WorldSplit>,
}

impl Source for BrokenSource {
    type Item = u64;
    type Split = WorldSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<WorldSplit>>> {
        self.inner.enumerator()
    }

    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<u64, WorldSplit>>> {
        Ok(Box::new(BrokenReader {
            inner: self.inner.reader(context)?,
            first: Vec::new(),
            tell: self.tell,
        }))
    }
}

impl SourceReader<u64, WorldSplit> for BrokenReader {
    fn add_splits(&mut self, splits: Vec<WorldSplit>) {
        self.first.extend_from_slice(&splits);
        self.inner.add_splits(splits);
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<u64>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        self.inner.poll_batch(cx, batch, limit)
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<WorldSplit>> {
        Ok((self.tell)(self.first.clone(), self.inner.snapshot(checkpoint)?))
    }
}

fn from_broken_source(
    env: &StreamExecutionEnvironment,
    world: &World,
    tell: fn(Vec<WorldSplit>, Vec<WorldSplit>) -> Vec<WorldSplit>,
) {
    let source = BrokenSource {
        inner: world.source(0..RECORDS),
        tell,
    };
    env.from_source(source, "numbers").sink_to(world.sink());
}

#[test]
fn a_source_that_forgets_its_position_is_found() {
    check(
        |env, world| from_broken_source(env, world, |first, _| first),
        "0 records are missing",
        "starts from checkpoint",
    );
}

#[test]
fn a_source_that_forgets_a_split_is_found() {
    let job: fn(&StreamExecutionEnvironment, &World) =
        |env, world| from_broken_source(env, world, |_, now| now.into_iter().skip(1).collect());
    check(job, " 0 too many", "starts from checkpoint");
}

/// Notes the splits that it has found in the memory of the process.
struct ForgetfulSource {
    inner: WorldSource<u64>,
    memory: Arc<Mutex<SeenSplits>>,
}

struct ForgetfulEnumerator {
    inner: Box<dyn SplitEnumerator<WorldSplit>>,
    memory: Arc<Mutex<SeenSplits>>,
}

impl Source for ForgetfulSource {
    type Item = u64;
    type Split = WorldSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<WorldSplit>>> {
        Ok(Box::new(ForgetfulEnumerator {
            inner: self.inner.enumerator()?,
            memory: self.memory.clone(),
        }))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.inner.discovery_interval()
    }

    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<u64, WorldSplit>>> {
        self.inner.reader(context)
    }
}

#[async_trait]
impl SplitEnumerator<WorldSplit> for ForgetfulEnumerator {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<WorldSplit>> {
        self.inner.discover(context).await
    }

    async fn discover_new(
        &mut self,
        context: &DiscoveryContext,
        _: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<WorldSplit>> {
        let mut seen = self.memory.lock().unwrap().clone();
        let found = self.inner.discover_new(context, &mut seen).await?;
        *self.memory.lock().unwrap() = seen;
        Ok(found)
    }
}

#[test]
fn a_source_that_forgets_which_splits_it_has_found_is_found() {
    let job: fn(&StreamExecutionEnvironment, &World) = |env, world| {
        let source = ForgetfulSource {
            inner: world.source(0..RECORDS).growing(),
            memory: Arc::default(),
        };
        env.from_source(source, "numbers").sink_to(world.sink());
    };
    check(job, "not exactly once", "starts from checkpoint");
}

#[test]
fn an_operator_that_keeps_state_outside_of_checkpoints_is_found() {
    let job: fn(&StreamExecutionEnvironment, &World) = |env, world| {
        let mut seen = 0_u64;
        let count = move |_: u64| {
            seen += 1;
            seen - 1
        };
        env.from_source(world.source(0..RECORDS), "numbers")
            .parallelism(1)
            .map(count)
            .parallelism(1)
            .sink_to(world.sink());
    };
    check(job, "too many", "starts from checkpoint");
}

#[test]
fn a_job_that_never_ends_is_found() {
    let failure = Simulation::seeds(0..1)
        .step_limit(10_000)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .sink_to(Full(world.sink()));
        })
        .check_exactly_once(0..RECORDS)
        .unwrap_err();
    assert!(failure.reason.contains("the job does not end"), "{failure}");
    assert!(failure.reason.contains("numbers-0[0] last:"), "{failure}");
}

/// Never has room.
struct Full<S>(S);

struct FullWriter<W>(W);

impl<S: Sink<u64>> Sink<u64> for Full<S> {
    type Committable = S::Committable;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<u64, S::Committable>>> {
        Ok(Box::new(FullWriter(self.0.writer(context)?)))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<S::Committable>>> {
        self.0.committer(context)
    }
}

impl<C: Send + 'static> SinkWriter<u64, C> for FullWriter<Box<dyn SinkWriter<u64, C>>> {
    fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        self.0.write(batch)
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Pending
    }

    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<C>>>> {
        self.0.prepare_commit(checkpoint)
    }
}

#[test]
fn a_job_that_uses_chance_of_its_own_is_told_so() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let failure = Simulation::seeds(0..1)
        .faults(Faults::none())
        .run(|env, world| {
            let lost = u64::from(CALLS.fetch_add(1, Ordering::SeqCst) == 0);
            env.from_source(world.source(lost..RECORDS), "numbers")
                .sink_to(world.sink());
        })
        .check_exactly_once(0..RECORDS)
        .unwrap_err();
    assert!(failure.reason.contains("must not read the time"), "{failure}");
}
