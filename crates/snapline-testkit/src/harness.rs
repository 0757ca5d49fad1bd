//! Operators by themselves: a function from streams to streams, driven step by step.
//!
//! An [`OperatorHarness`] runs the operators that a function describes, without threads, channels or a real clock.
//! A test pushes records and watermarks, moves the clock on, takes a snapshot, restores it at any parallelism, and
//! reads what has come out. It is the code that runs in jobs: chains, exchanges, state and timers are the same.
//!
//! ```
//! use snapline_core::Timestamp;
//! use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
//! use snapline_testkit::harness::OperatorHarness;
//! use std::time::Duration;
//!
//! fn sums(numbers: DataStream<u64>) -> DataStream<u64> {
//!     numbers
//!         .key_by(|number| number % 2)
//!         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
//!         .reduce(|sum, number| *sum += number)
//! }
//!
//! let mut harness = OperatorHarness::new(sums)?;
//! harness.push(1, 100)?;
//! harness.push(3, 900)?;
//! let snapshot = harness.snapshot()?;
//!
//! let mut restored = OperatorHarness::builder().parallelism(3).restore(&snapshot).build(sums)?;
//! restored.push(5, 500)?;
//! restored.watermark(999)?;
//! assert_eq!(restored.take_timed(), [(9, Some(Timestamp(999)))]);
//! # Ok::<(), snapline_core::Error>(())
//! ```

mod chains;
mod feed;
mod outlet;
mod sleeper;
mod snapshot;
mod tasks;

pub use outlet::Emitted;
pub use snapshot::HarnessSnapshot;

use async_trait::async_trait;
use feed::{Feed, FeedSource};
use outlet::{Collected, CollectingSink};
use snapline_core::{Clock, Data, Error, JobSettings, ManualClock, MaxParallelism, Result, Timestamp};
use snapline_dataflow::{
    Components, DataStream, JobGraph, JobHandle, JobRunner, OutputTag, Signal, StreamExecutionEnvironment,
};
use snapline_state_memory::{MemoryCheckpointStorage, MemoryStateBackend};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tasks::Tasks;

/// Drives the operators between a stream of `T` and a stream of `U`.
pub struct OperatorHarness<T, U> {
    feed: Feed<T>,
    tasks: Tasks,
    clock: Arc<ManualClock>,
    output: Collected<U>,
    side_outputs: BTreeMap<String, Box<dyn Any>>,
}

/// Chooses how an [`OperatorHarness`] begins.
#[derive(Debug)]
pub struct HarnessBuilder<'a> {
    parallelism: u32,
    max_parallelism: Option<MaxParallelism>,
    now: Timestamp,
    snapshot: Option<&'a HarnessSnapshot>,
}

impl<T: Data, U: Data> OperatorHarness<T, U> {
    /// The operators that a function describes, one subtask each, at time 0.
    ///
    /// # Errors
    /// A mistake in the description, or what keeps an operator from starting.
    pub fn new(describe: impl FnOnce(DataStream<T>) -> DataStream<U>) -> Result<Self> {
        HarnessBuilder::default().build(describe)
    }

    /// Pushes a record with a timestamp in milliseconds.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn push(&mut self, record: T, millis: i64) -> Result<()> {
        self.push_record(record, Some(Timestamp(millis)))
    }

    /// Pushes a record without a timestamp.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn push_untimed(&mut self, record: T) -> Result<()> {
        self.push_record(record, None)
    }

    fn push_record(&mut self, record: T, timestamp: Option<Timestamp>) -> Result<()> {
        self.feed.push(record, timestamp);
        self.tasks.read()?;
        self.tasks.settle(self.clock.now())
    }

    /// Lets event time come so far, in milliseconds.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn watermark(&mut self, millis: i64) -> Result<()> {
        let watermark = snapline_core::Watermark(Timestamp(millis));
        self.tasks.signal_source(&mut Signal::Watermark(watermark))?;
        self.tasks.settle(self.clock.now())
    }

    /// Says that nothing will come for now.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn idle(&mut self) -> Result<()> {
        self.tasks.signal_source(&mut Signal::Idle)?;
        self.tasks.settle(self.clock.now())
    }

    /// Moves the clock on, and lets the operators do what is due then.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn advance_clock(&mut self, duration: Duration) -> Result<()> {
        self.clock.advance(duration);
        self.tasks.settle(self.clock.now())
    }

    /// Ends the stream. Operators that wait for answers end theirs when these have come: move the clock on.
    ///
    /// # Errors
    /// Those of the operators.
    pub fn end(&mut self) -> Result<()> {
        self.tasks.end_source()?;
        self.tasks.settle(self.clock.now())
    }

    /// What has come out since the last call: records, watermarks and idleness, in their order.
    pub fn take_output(&mut self) -> Vec<Emitted<U>> {
        self.output.take()
    }

    /// The records that have come out since the last call, with their timestamps. Watermarks are dropped.
    pub fn take_timed(&mut self) -> Vec<(U, Option<Timestamp>)> {
        records(self.output.take()).collect()
    }

    /// The records that have come out since the last call.
    pub fn take_records(&mut self) -> Vec<U> {
        records(self.output.take()).map(|(record, _)| record).collect()
    }

    /// The records that have come out of a side output since the last call. There are none when the operator has no
    /// side output of this name and type.
    pub fn take_side_output<S: Data>(&mut self, tag: &OutputTag<S>) -> Vec<S> {
        let collected = self.side_outputs.get(tag.name());
        let collected = collected.and_then(|collected| collected.downcast_ref::<Collected<S>>());
        let emitted = collected.map(Collected::take).unwrap_or_default();
        records(emitted).map(|(record, _)| record).collect()
    }

    /// How many records were too late and went nowhere.
    pub fn late_records(&self) -> u64 {
        self.tasks.late_records()
    }

    /// A snapshot of all state, as a checkpoint would have it.
    ///
    /// # Errors
    /// What keeps a state from being stored.
    pub fn snapshot(&mut self) -> Result<HarnessSnapshot> {
        self.tasks.snapshot()
    }
}

impl OperatorHarness<(), ()> {
    /// Begins to choose.
    pub fn builder<'a>() -> HarnessBuilder<'a> {
        HarnessBuilder::default()
    }
}

impl Default for HarnessBuilder<'_> {
    fn default() -> Self {
        Self {
            parallelism: 1,
            max_parallelism: None,
            now: Timestamp(0),
            snapshot: None,
        }
    }
}

impl<'a> HarnessBuilder<'a> {
    /// How many subtasks the operators have.
    #[must_use]
    pub fn parallelism(self, parallelism: u32) -> Self {
        Self { parallelism, ..self }
    }

    /// How many key groups there are.
    #[must_use]
    pub fn max_parallelism(self, max: MaxParallelism) -> Self {
        let max_parallelism = Some(max);
        Self {
            max_parallelism,
            ..self
        }
    }

    /// Where the clock begins, in milliseconds.
    #[must_use]
    pub fn clock(self, millis: i64) -> Self {
        let now = Timestamp(millis);
        Self { now, ..self }
    }

    /// Begins with the state of a snapshot.
    #[must_use]
    pub fn restore(self, snapshot: &'a HarnessSnapshot) -> Self {
        let snapshot = Some(snapshot);
        Self { snapshot, ..self }
    }

    /// The operators that a function describes.
    ///
    /// # Errors
    /// A mistake in the description, or what keeps an operator from starting.
    pub fn build<T: Data, U: Data>(
        self,
        describe: impl FnOnce(DataStream<T>) -> DataStream<U>,
    ) -> Result<OperatorHarness<T, U>> {
        self.build_with(describe, |_, _| Ok(()))
    }

    /// The same, and collects what goes to a side output.
    ///
    /// # Errors
    /// As there, also when the operator has no such side output.
    pub fn build_with_side_output<T: Data, U: Data, S: Data>(
        self,
        tag: &OutputTag<S>,
        describe: impl FnOnce(DataStream<T>) -> DataStream<U>,
    ) -> Result<OperatorHarness<T, U>> {
        self.build_with(describe, |stream, side_outputs| {
            let collected = Collected::<S>::new();
            let sink = CollectingSink::new(collected.clone());
            stream
                .side_output(tag)
                .sink_to_links(Arc::new(sink))
                .name(tag.name());
            side_outputs.insert(tag.name().to_owned(), Box::new(collected));
            Ok(())
        })
    }

    fn build_with<T: Data, U: Data>(
        self,
        describe: impl FnOnce(DataStream<T>) -> DataStream<U>,
        beside: impl FnOnce(&DataStream<U>, &mut BTreeMap<String, Box<dyn Any>>) -> Result<()>,
    ) -> Result<OperatorHarness<T, U>> {
        let storage = Arc::new(MemoryCheckpointStorage::new());
        let storage = self.snapshot.map_or(storage, |snapshot| snapshot.storage.clone());
        let (feed, output, mut side_outputs) = (Feed::new(), Collected::new(), BTreeMap::new());
        let settings = JobSettings {
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
            ..JobSettings::default()
        };
        let components = Components::new(
            storage.clone(),
            Arc::new(MemoryStateBackend::new()),
            Arc::new(RunsNothing),
        );
        let env = StreamExecutionEnvironment::new(settings, components);
        let pushed = env
            .from_source(FeedSource::new(feed.clone()), "pushed")
            .parallelism(1);
        let described = describe(pushed);
        beside(&described, &mut side_outputs)?;
        described.sink_to_links(Arc::new(CollectingSink::new(output.clone())));
        let clock = Arc::new(ManualClock::new(self.now));
        let job: JobGraph = env.plan("harness")?;
        let mut tasks = Tasks::build(job, storage, clock.clone(), self.snapshot)?;
        tasks.settle(self.now)?;
        Ok(OperatorHarness {
            feed,
            tasks,
            clock,
            output,
            side_outputs,
        })
    }
}

fn records<U>(emitted: Vec<Emitted<U>>) -> impl Iterator<Item = (U, Option<Timestamp>)> {
    emitted.into_iter().filter_map(|emitted| match emitted {
        Emitted::Record(record, timestamp) => Some((record, timestamp)),
        _ => None,
    })
}

impl<T, U> std::fmt::Debug for OperatorHarness<T, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorHarness")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// The harness does what a runner would.
#[derive(Debug)]
struct RunsNothing;

#[async_trait]
impl JobRunner for RunsNothing {
    async fn submit(&self, _job: JobGraph) -> Result<JobHandle> {
        Err(Error::unsupported("a harness describes streams and runs no jobs"))
    }
}
