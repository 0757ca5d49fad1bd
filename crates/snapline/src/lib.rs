//! Fault-tolerant stream processing with exactly-once results, as a library.
//!
//! A program describes a dataflow of typed records. While it runs, numbered barriers flow with the
//! records; each task snapshots its state when its barriers have arrived, without stopping the flow.
//! After a crash the job resumes from the newest completed checkpoint, and the results are as if
//! nothing had happened, to the outside world too.
//!
//! ```no_run
//! use snapline::prelude::*;
//! use std::time::Duration;
//!
//! fn tokenize(line: String, out: &mut Collector<'_, (String, u64)>) {
//!     let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
//!     words.for_each(|word| out.collect((word.to_lowercase(), 1)));
//! }
//!
//! # async fn run() -> snapline::Result<()> {
//! let env = StreamExecutionEnvironment::builder()
//!     .parallelism(2)
//!     .checkpoint_storage(FileCheckpointStorage::open("checkpoints")?)
//!     .build()?;
//! env.enable_checkpointing(Duration::from_millis(1000));
//! env.read_text_file("file:///path/to/file")
//!     .flat_map(tokenize)
//!     .key_by(|(word, _)| word.clone())
//!     .sum(|(_, count)| count)
//!     .print();
//! env.execute("WordCount Example").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Running the same program again resumes from the newest checkpoint of the job of this name.
//!
//! This crate only puts the others together. Take them one by one to assemble something else: the
//! modules below are the crates of the workspace under their short names.

mod environment;

pub use environment::{EnvironmentBuilder, StreamExecutionEnvironment};
pub use snapline_core::{Error, ErrorKind, Result};

pub use snapline_connector as connector;
pub use snapline_coordinator as coordinator;
pub use snapline_core as core;
pub use snapline_dataflow as dataflow;
pub use snapline_runtime as runtime;
pub use snapline_state as state;

/// The examples of the README compile.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
pub struct Readme;

/// Barrier alignment and the checks of channels.
pub use snapline_barrier as barrier;

/// Sources and sinks in files of their own crates.
pub mod connectors {
    pub use snapline_connector_file as file;
    #[cfg(feature = "kafka")]
    pub use snapline_connector_kafka as kafka;
    #[cfg(feature = "nats")]
    pub use snapline_connector_nats as nats;
    #[cfg(feature = "object")]
    pub use snapline_connector_object as object;
    #[cfg(feature = "postgres")]
    pub use snapline_connector_postgres as postgres;
}

/// State backends and checkpoint storages.
///
/// Both can be changed between two runs of a job. Checkpoints and savepoints of state in memory and of state on disk are
/// of one format, so each resumes from the other's, with any storage. What does not move by itself is a checkpoint to
/// another storage: `snapline checkpoint copy` copies it, and the job starts from the copy as from a savepoint. A backend
/// of somebody else moves as well if it writes tables as [`snapline_state::BlockWriter`] does, as those have to that pass
/// the suite of the testkit; files of another format are refused (`Unsupported` or `Corrupted`).
pub mod backends {
    pub use snapline_state_file as file;
    pub use snapline_state_memory as memory;
    #[cfg(feature = "object")]
    pub use snapline_state_object as object;
}

/// What most programs need.
pub mod prelude {
    pub use crate::environment::StreamExecutionEnvironment;
    pub use snapline_connector::{
        ChannelSource, CollectSink, CollectionSource, DiscardSink, ForEachSink, GeneratorSource, PrintSink,
        SequenceSource,
    };
    pub use snapline_connector_file::{FileSink, FileSource, TextFileSource};
    pub use snapline_core::{
        AlignmentSettings, CheckpointMode, CheckpointSettings, JobSettings, RestartSettings, Timestamp,
        Watermark,
    };
    pub use snapline_dataflow::{
        AggregatingState, AsyncFunction, AsyncIo, AsyncRetry, BroadcastContext, BroadcastProcessFunction,
        BroadcastState, Collector, DataStream, Emit, JobHandle, JobState, KeyedBroadcastContext,
        KeyedBroadcastProcessFunction, KeyedCoProcessFunction, KeyedProcessFunction, KeyedStream, ListState,
        MapState, OperatorListState, ProcessContext, ProcessFunction, RecordContext, ReducingState,
        RuntimeContext, SnapshotContext, TimeDomain, ValueState, WatermarkGenerator, WatermarkOutput,
        WatermarkStrategy, WindowContext, WindowedStream,
    };
    pub use snapline_dataflow::{
        ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountEvictor, CountTrigger,
        DeltaEvictor, DeltaTrigger, EventTimeSessionWindows, EventTimeTrigger, GlobalWindows, OutputTag,
        ProcessingTimeSessionWindows, ProcessingTimeTrigger, PurgingTrigger, SlidingEventTimeWindows,
        SlidingProcessingTimeWindows, TimeEvictor, TimeWindow, TumblingEventTimeWindows,
        TumblingProcessingTimeWindows,
    };
    pub use snapline_state::{AggregateFunction, StateDescriptor, StateTtl};
    pub use snapline_state_file::FileCheckpointStorage;
    pub use snapline_state_memory::{MemoryCheckpointStorage, MemoryStateBackend};
}
