//! Streams beside a stream.

use crate::factory::OutputOf;
use crate::graph::{NodeFactory, NodeId, StreamEdge, StreamGraph, StreamNode};
use crate::outlets::SideOutput;
use crate::output_tag::OutputTag;
use crate::plan::INHERIT;
use crate::stream::DataStream;
use snapline_core::{Data, Error};
use std::any::TypeId;
use std::sync::Arc;

impl<T: Data> DataStream<T> {
    /// What the operator that makes this stream has sent to a side output.
    ///
    /// Functions send there by [`Collector::side_output`](crate::Collector::side_output), windows their late records
    /// ([`side_output_late_data`](crate::WindowedStream::side_output_late_data)). A side output that the operator cannot have
    /// is a mistake that is told when the job is planned. The stream can be asked for as often as one likes.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, OutputTag, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// The most of each second, and what came too late for it.
    /// fn most(numbers: &DataStream<u64>) -> (DataStream<u64>, DataStream<u64>) {
    ///     let tag = OutputTag::new("late");
    ///     let most = numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
    ///         .side_output_late_data(&tag)
    ///         .reduce(|most, number| *most = number.max(*most));
    ///     let late = most.side_output(&tag);
    ///     (most, late)
    /// }
    /// ```
    pub fn side_output<S: Data>(&self, tag: &OutputTag<S>) -> DataStream<S> {
        let found = self.env.with_graph(|graph| {
            let [edge] = self.edges[..] else { return None };
            find(graph, edge.from, tag)
        });
        let from = found.unwrap_or_else(|| {
            let mistake = Error::invalid(
                "the operator has no side output of this name and type; ask the stream of a function that sends to \
                 it, or of windows that were given the same tag, directly behind them",
            );
            self.env.require(Err(mistake.with("tag", tag.name())), "side-output");
            NodeId(0)
        });
        DataStream::new(self.env.clone(), from)
    }
}

/// The node that is the beginning of a side output; a new one when nobody has asked before.
fn find<S: Data>(graph: &mut StreamGraph, of: NodeId, tag: &OutputTag<S>) -> Option<NodeId> {
    let (name, records) = (tag.name(), TypeId::of::<S>());
    if let Some(known) = graph.side_output(of, name, records) {
        return Some(known);
    }
    let NodeFactory::Operator(operator) = &graph.node_mut(of).factory else {
        return None;
    };
    if !operator.side_outputs().may_have(name, records) {
        return None;
    }
    let side = graph.add(StreamNode {
        name: name.to_owned(),
        uid: None,
        parallelism: Some(INHERIT),
        inputs: vec![StreamEdge::from(of)],
        factory: NodeFactory::Operator(Arc::new(SideOutput::new(tag))),
        output: Some(Arc::new(OutputOf::<S>::new())),
    });
    graph.add_part(side, of);
    graph.add_side_output(of, name, records, side);
    Some(side)
}
