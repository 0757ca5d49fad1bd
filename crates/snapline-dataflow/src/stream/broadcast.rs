//! A stream that meets another one that all subtasks are told.

use crate::factory::OutputOf;
use crate::graph::{NodeFactory, NodeId, StreamEdge, StreamNode};
use crate::operator::broadcast::Broadcast;
use crate::operator::keyed_broadcast::KeyedBroadcast;
use crate::operator::wrap::Wrap;
use crate::output::Partitioning;
use crate::plan::INHERIT;
use crate::process::{BroadcastProcessFunction, KeyedBroadcastProcessFunction};
use crate::stream::connected::Either;
use crate::stream::{DataStream, KeyedStream, transform};
use snapline_core::{Data, Key, Keyed};
use std::sync::Arc;

/// A stream together with another whose records all subtasks of the next operator get.
#[derive(Debug, Clone)]
pub struct BroadcastConnectedStreams<A, B> {
    records: DataStream<A>,
    broadcast: DataStream<B>,
}

/// A keyed stream together with another whose records all subtasks of the next operator get.
#[derive(Debug, Clone)]
pub struct KeyedBroadcastConnectedStreams<K, A, B> {
    records: KeyedStream<K, A>,
    broadcast: DataStream<B>,
}

impl<T: Data> DataStream<T> {
    /// Lets the records of this stream meet those of another one, which all subtasks of the next operator get: rules,
    /// settings, a small table.
    pub fn connect_broadcast<B: Data>(&self, broadcast: &DataStream<B>) -> BroadcastConnectedStreams<T, B> {
        BroadcastConnectedStreams {
            records: self.clone(),
            broadcast: broadcast.broadcast(),
        }
    }
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// Lets the records of this stream meet those of another one, which all subtasks of the next operator get: rules,
    /// settings, a small table.
    pub fn connect_broadcast<B: Data>(
        &self,
        broadcast: &DataStream<B>,
    ) -> KeyedBroadcastConnectedStreams<K, T, B> {
        KeyedBroadcastConnectedStreams {
            records: self.clone(),
            broadcast: broadcast.broadcast(),
        }
    }
}

impl<A: Data, B: Data> BroadcastConnectedStreams<A, B> {
    /// Hands each record to a function whose broadcast state the broadcast records make.
    pub fn process<P>(&self, function: P) -> DataStream<P::Output>
    where
        P: BroadcastProcessFunction<A, B> + Clone + Sync,
    {
        let mut edges = self.records.wrapped("records", Either::<A, B>::Left);
        edges.extend(self.broadcast.wrapped("broadcast", Either::<A, B>::Right));
        let factory = Broadcast::<P, A, B>::new(function);
        transform(&self.records.env, "broadcast-process", edges, factory)
    }
}

impl<K: Key, A: Data, B: Data> KeyedBroadcastConnectedStreams<K, A, B> {
    /// Hands each record to a function that keeps state per key, and whose broadcast state the broadcast records make.
    pub fn process<P>(&self, function: P) -> DataStream<P::Output>
    where
        P: KeyedBroadcastProcessFunction<K, A, B> + Clone + Sync,
    {
        let wrapped = |edge: StreamEdge| StreamEdge {
            from: add_wrap(
                &self.records.env,
                "records",
                edge.from,
                Either::<Keyed<K, A>, B>::Left,
            ),
            partitioning: Partitioning::Hash,
        };
        let mut edges: Vec<StreamEdge> = self.records.edges().into_iter().map(wrapped).collect();
        edges.extend(
            self.broadcast
                .wrapped("broadcast", Either::<Keyed<K, A>, B>::Right),
        );
        let factory = KeyedBroadcast::<P, K, A, B>::new(function);
        transform(&self.records.env, "broadcast-process", edges, factory)
    }
}

impl<T: Data> DataStream<T> {
    /// The same records as another type. They change it where they come from, and are dealt out after that.
    pub(super) fn wrapped<U: Data>(&self, name: &str, wrap: fn(T) -> U) -> Vec<StreamEdge> {
        let edge = |edge: &StreamEdge| StreamEdge {
            from: add_wrap(&self.env, name, edge.from, wrap),
            ..*edge
        };
        self.edges.iter().map(edge).collect()
    }
}

fn add_wrap<T: Data, U: Data>(
    env: &crate::environment::StreamExecutionEnvironment,
    name: &str,
    from: NodeId,
    wrap: fn(T) -> U,
) -> NodeId {
    env.add(StreamNode {
        name: name.to_owned(),
        uid: None,
        parallelism: Some(INHERIT),
        inputs: vec![StreamEdge::from(from)],
        factory: NodeFactory::Operator(Arc::new(Wrap(wrap))),
        output: Some(Arc::new(OutputOf::<U>::new())),
    })
}
