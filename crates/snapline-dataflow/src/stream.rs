//! Streams of records.

mod aggregates;
mod async_io;
mod broadcast;
mod co_group;
pub(crate) mod connected;
mod interval_join;
mod iterate;
mod keyed;
mod partitioning;
mod side_output;
mod temporal_join;
mod windowed;

pub use broadcast::{BroadcastConnectedStreams, KeyedBroadcastConnectedStreams};
pub use co_group::WindowedConnectedStreams;
pub use connected::{ConnectedStreams, Either, KeyedConnectedStreams};
pub use keyed::KeyedStream;
pub use windowed::WindowedStream;

use crate::environment::StreamExecutionEnvironment;
use crate::factory::{OperatorFactory, OutputOf, SinkFactory};
use crate::graph::{NodeFactory, NodeId, StreamEdge, StreamNode};
use crate::operator::assign::Assign;
use crate::operator::collector::Collector;
use crate::operator::filter::Filter;
use crate::operator::flat_map::FlatMap;
use crate::operator::function::Function;
use crate::operator::key_by::KeyBy;
use crate::operator::map::Map;
use crate::operator::sink::SinkOf;
use crate::plan::INHERIT;
use crate::process::ProcessFunction;
use crate::time::strategy::WatermarkStrategy;
use snapline_connector::{PrintSink, Sink};
use snapline_core::{Data, Error, Key};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// A stream of records of type `T`.
///
/// Streams are descriptions: nothing runs before the environment executes the job. The type shows
/// no operators, so functions can take and return streams.
///
/// # Functions
///
/// A function that is given to a stream is cloned for each subtask and runs on the threads of the job. So it owns what it uses
/// (`move`), and all of that is `Clone`, `Send` and `Sync`; what is not, the compiler names:
///
/// ```compile_fail
/// # use snapline_dataflow::DataStream;
/// fn scaled(numbers: &DataStream<u64>) -> DataStream<u64> {
///     let factor = std::rc::Rc::new(3);
///     numbers.map(move |number| number * *factor) // `Rc<u64>` cannot be sent between threads safely: use an `Arc`
/// }
/// ```
///
/// What cannot be cloned, such as a connection, is opened in `open` of a [`ProcessFunction`]. Records and states are also encoded:
/// their types derive `serde`'s traits.
///
/// ```compile_fail
/// # use snapline_dataflow::DataStream;
/// #[derive(Clone)]
/// struct Reading(f64);
///
/// fn readings(lines: &DataStream<String>) -> DataStream<Reading> {
///     lines.map(|line| Reading(line.len() as f64)) // `Reading` cannot be a record of a stream, or kept in a state
/// }
/// ```
#[derive(Debug)]
pub struct DataStream<T> {
    env: StreamExecutionEnvironment,
    /// The outputs that together are the stream, and how each is dealt out to the next operator.
    edges: Vec<StreamEdge>,
    records: PhantomData<fn() -> T>,
}

impl<T> Clone for DataStream<T> {
    /// The same stream, to be used once more: every record goes both ways.
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            edges: self.edges.clone(),
            records: PhantomData,
        }
    }
}

impl<T: Data> DataStream<T> {
    /// The output of one node.
    pub(crate) fn new(env: StreamExecutionEnvironment, from: NodeId) -> Self {
        Self {
            env,
            edges: vec![StreamEdge::from(from)],
            records: PhantomData,
        }
    }

    /// Each record becomes one record.
    pub fn map<U: Data>(
        &self,
        function: impl FnMut(T) -> U + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        self.transform("map", Map::new(function))
    }

    /// The records for which `predicate` holds stay.
    pub fn filter(&self, predicate: impl FnMut(&T) -> bool + Clone + Send + Sync + 'static) -> Self {
        self.transform("filter", Filter::new(predicate))
    }

    /// Each record becomes any number of records, which the function hands to the collector.
    pub fn flat_map<U: Data>(
        &self,
        function: impl FnMut(T, &mut Collector<'_, U>) + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        self.transform("flat-map", FlatMap::new(function))
    }

    /// Gives the records timestamps and the stream its event time, in place of what they had.
    ///
    /// Each subtask watches its records by itself, and an operator that takes the records of several goes by the
    /// slowest. At sources, [`StreamExecutionEnvironment::from_source_with_watermarks`] watches each split.
    ///
    /// ```
    /// use snapline_core::Timestamp;
    /// use snapline_dataflow::{DataStream, WatermarkStrategy};
    /// use std::time::Duration;
    ///
    /// /// Readings of a sensor and when they were taken, late by two seconds at the most.
    /// fn timed(readings: &DataStream<(i64, f64)>) -> DataStream<(i64, f64)> {
    ///     readings.assign_timestamps_and_watermarks(
    ///         WatermarkStrategy::<(i64, f64)>::for_bounded_out_of_orderness(Duration::from_secs(2))
    ///             .with_timestamp_assigner(|(at, _)| Timestamp(*at)),
    ///     )
    /// }
    /// ```
    pub fn assign_timestamps_and_watermarks(&self, strategy: WatermarkStrategy<T>) -> Self {
        let name = "timestamps";
        self.env.require(strategy.check_behind_sources(), name);
        self.transform(name, Assign(strategy))
    }

    /// Hands each record to a function that keeps operator state and emits what it likes.
    pub fn process<P>(&self, function: P) -> DataStream<P::Output>
    where
        P: ProcessFunction<T> + Clone + Sync,
    {
        self.transform("process", Function::<P, T>::new(function))
    }

    /// Divides the stream by a key: records with equal keys meet in the same subtask, in the order
    /// in which their subtask has emitted them.
    pub fn key_by<K: Key>(
        &self,
        selector: impl FnMut(&T) -> K + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, T> {
        let factory: Arc<dyn OperatorFactory> = Arc::new(KeyBy::new(selector));
        let key = |edge: &StreamEdge| {
            self.env.add(StreamNode {
                name: "key-by".to_owned(),
                uid: None,
                parallelism: Some(INHERIT),
                inputs: vec![*edge],
                factory: NodeFactory::Operator(factory.clone()),
                output: Some(Arc::new(OutputOf::<snapline_core::Keyed<K, T>>::new())),
            })
        };
        KeyedStream::new(self.env.clone(), self.edges.iter().map(key).collect())
    }

    /// This stream and another of the same type as one stream.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            env: self.env.clone(),
            edges: self.edges.iter().chain(&other.edges).copied().collect(),
            records: PhantomData,
        }
    }

    /// Prints each record on a line of its own on standard output: text as it is, anything else by
    /// its `Debug`. At least once: after a failure lines may come again.
    pub fn print(&self) -> DataStreamSink
    where
        T: Debug,
    {
        self.sink_to(PrintSink::plain()).name("print")
    }

    /// Sends all records to a sink.
    pub fn sink_to<S: Sink<T>>(&self, sink: S) -> DataStreamSink {
        self.sink_to_links(Arc::new(SinkOf::new(sink)))
    }

    /// Ends the stream in links of your own, which also see watermarks and barriers. For test harnesses and the like;
    /// what writes records somewhere is a [`Sink`].
    pub fn sink_to_links(&self, sink: Arc<dyn SinkFactory>) -> DataStreamSink {
        let node = self.env.add(StreamNode {
            name: "sink".to_owned(),
            uid: None,
            parallelism: None,
            inputs: self.edges.clone(),
            factory: NodeFactory::Sink(sink),
            output: None,
        });
        DataStreamSink {
            env: self.env.clone(),
            node,
        }
    }

    /// Names the operator that makes this stream, for messages.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.change(|node| node.name = name.to_owned());
        self
    }

    /// Gives the operator that makes this stream a uid, under which its state is found whatever else
    /// changes in the program.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.change(|node| node.uid = Some(uid.to_owned()));
        self
    }

    /// Sets how many subtasks the operator that makes this stream has.
    #[must_use]
    pub fn parallelism(self, parallelism: u32) -> Self {
        let nodes: Vec<NodeId> = self.edges.iter().map(|edge| edge.from).collect();
        set_parallelism(&self.env, &nodes, parallelism);
        self
    }

    pub(crate) fn transform<U: Data>(
        &self,
        name: &str,
        factory: impl OperatorFactory + 'static,
    ) -> DataStream<U> {
        transform(&self.env, name, self.edges.clone(), factory)
    }

    fn change(&self, mut change: impl FnMut(&mut StreamNode)) {
        self.env.with_graph(|graph| match self.edges[..] {
            [edge] => {
                let operator = graph.operator_of(edge.from);
                change(graph.node_mut(operator));
            }
            _ => graph.mistake(Error::invalid(
                "a union has no operator of its own: name it, or set its uid or parallelism, before the union",
            )),
        });
    }
}

pub(crate) fn transform<U: Data>(
    env: &StreamExecutionEnvironment,
    name: &str,
    inputs: Vec<StreamEdge>,
    factory: impl OperatorFactory + 'static,
) -> DataStream<U> {
    let node = env.add(StreamNode {
        name: name.to_owned(),
        uid: None,
        parallelism: None,
        inputs,
        factory: NodeFactory::Operator(Arc::new(factory)),
        output: Some(Arc::new(OutputOf::<U>::new())),
    });
    DataStream::new(env.clone(), node)
}

fn set_parallelism(env: &StreamExecutionEnvironment, nodes: &[NodeId], parallelism: u32) {
    env.with_graph(|graph| {
        for node in nodes {
            if parallelism == 0 || parallelism == INHERIT {
                let name = graph.node_mut(*node).name.clone();
                let rule = "the parallelism of an operator must be between 1 and the maximum parallelism";
                graph.mistake(
                    Error::invalid(rule)
                        .with("operator", name)
                        .with("parallelism", parallelism),
                );
            } else {
                let operator = graph.operator_of(*node);
                graph.node_mut(operator).parallelism = Some(parallelism);
            }
        }
    });
}

/// The end of a stream.
#[derive(Debug)]
pub struct DataStreamSink {
    env: StreamExecutionEnvironment,
    node: NodeId,
}

impl DataStreamSink {
    /// Names the sink, for messages.
    #[expect(clippy::must_use_candidate, reason = "the sink is in the graph already")]
    pub fn name(self, name: &str) -> Self {
        self.env
            .with_graph(|graph| graph.node_mut(self.node).name = name.to_owned());
        self
    }

    /// Gives the sink a uid, under which its commits are found whatever else changes in the program.
    #[expect(clippy::must_use_candidate, reason = "the sink is in the graph already")]
    pub fn uid(self, uid: &str) -> Self {
        self.env
            .with_graph(|graph| graph.node_mut(self.node).uid = Some(uid.to_owned()));
        self
    }

    /// Sets how many subtasks the sink has.
    #[expect(clippy::must_use_candidate, reason = "the sink is in the graph already")]
    pub fn parallelism(self, parallelism: u32) -> Self {
        set_parallelism(&self.env, &[self.node], parallelism);
        self
    }
}
