//! The DataStream API of Snapline: how a program describes a dataflow.
//!
//! A program makes a [`StreamExecutionEnvironment`], derives [`DataStream`]s from sources, ends them in
//! sinks, and executes the job. The description becomes a [`StreamGraph`], then a [`JobGraph`] in
//! which neighbouring operators are chained into tasks, and a [`JobRunner`] runs it.
//!
//! Operators are [`Link`]s: each takes whole batches and hands them to the next. A task is a chain
//! of links behind a [`SourceHead`] or a [`TaskHead`], in front of [`OutputPort`]s. The runtime drives the
//! heads and provides the ports; this crate does not know threads or channels.

mod alarm;
mod async_io;
mod context;
mod environment;
mod explain;
mod factory;
mod graph;
mod head;
mod job;
mod link;
mod operator;
mod outlets;
mod output;
mod output_tag;
mod plan;
mod process;
mod snapshot;
mod state;
mod stream;
#[cfg(test)]
mod testing;
mod time;
mod window;

pub use alarm::Alarm;
pub use async_io::{AsyncFunction, AsyncIo, AsyncRetry};
pub use context::{OperatorContext, RestoredState, Sleeper, TaskCounters};
pub use environment::{Components, StreamExecutionEnvironment};
pub use explain::{ExplainedEdge, ExplainedJob, ExplainedOperator, ExplainedTask};
pub use factory::{
    ErasedCommitter, ErasedLink, OperatorFactory, OutputFactory, OutputSettings, SinkFactory, SourceFactory,
};
pub use graph::{NodeFactory, NodeId, StreamEdge, StreamGraph, StreamNode};
pub use head::{SourceHead, TaskHead};
pub use job::{
    CheckpointCounts, CheckpointScope, FailureAnswer, JobControl, JobFailure, JobHandle, JobResult,
    JobRunner, JobState, JobStatus, SavepointInfo, SavepointKind, SavepointRequest,
};
pub use link::{Link, Next, Signal, TimeSignal};
pub use operator::accumulate::Emit;
pub use operator::collector::Collector;
pub use operator::source::growth::{FoundSplits, KnownSplits};
pub use outlets::SideOutputs;
pub use output::{OutputPort, Partitioning, PortSignal};
pub use output_tag::OutputTag;
pub use plan::{JobGraph, JobLoop, JobNode, JobVertex, OutputEdge};
pub use process::{
    BroadcastContext, BroadcastProcessFunction, KeyedBroadcastContext, KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction, KeyedProcessFunction, ProcessContext, ProcessFunction, RecordContext,
    RuntimeContext, SnapshotContext, TimeDomain,
};
pub use snapshot::{OperatorSnapshot, TaskSnapshot};
pub use state::{
    AggregatingState, BroadcastState, BroadcastStateMut, ListState, MapState, OperatorListState,
    OperatorStateContext, ReducingState, StatePerKey, ValueState,
};
pub use stream::{
    BroadcastConnectedStreams, ConnectedStreams, DataStream, DataStreamSink, Either,
    KeyedBroadcastConnectedStreams, KeyedConnectedStreams, KeyedStream, WindowedConnectedStreams,
    WindowedStream,
};
pub use time::alignment::WatermarkGroups;
pub use time::generator::{WatermarkGenerator, WatermarkOutput};
pub use time::strategy::WatermarkStrategy;
pub use window::assigner::WindowAssigner;
pub use window::evictor::{CountEvictor, DeltaEvictor, Evictor, TimeEvictor, Timed};
pub use window::function::WindowContext;
pub use window::global::GlobalWindows;
pub use window::session::{EventTimeSessionWindows, ProcessingTimeSessionWindows};
pub use window::slicing::Slicing;
pub use window::sliding::{SlidingEventTimeWindows, SlidingProcessingTimeWindows};
pub use window::trigger::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, DeltaTrigger,
    EventTimeTrigger, NeverTrigger, ProcessingTimeTrigger, PurgingTrigger, Trigger, TriggerContext,
    TriggerResult,
};
pub use window::tumbling::{TumblingEventTimeWindows, TumblingProcessingTimeWindows};
pub use window::{GlobalWindow, TimeWindow, Window};
