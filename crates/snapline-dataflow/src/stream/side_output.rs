//! Streams beside a stream.

use crate::graph::NodeId;
use crate::operator::window::outlet::Part;
use crate::output_tag::OutputTag;
use crate::plan::INHERIT;
use crate::stream::{DataStream, transform};
use snapline_core::{Data, Error};
use std::any::TypeId;

impl<T: Data> DataStream<T> {
    /// What the operator that makes this stream has sent to a side output.
    ///
    /// A tag that the operator was not given is a mistake that is told when the job is planned.
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
            graph.side_output(edge.from, tag.name(), TypeId::of::<S>())
        });
        let from = found.unwrap_or_else(|| {
            let mistake = Error::invalid(
                "the operator has no side output of this name and type; hand the same tag to the operator and to \
                 .side_output(...), directly behind it",
            );
            self.env.require(Err(mistake.with("tag", tag.name())), "side-output");
            NodeId(0)
        });
        DataStream::new(self.env.clone(), from)
    }

    /// Names another stream as a side output of the operator that makes this one.
    pub(crate) fn add_side_output<S: Data>(&self, tag: &OutputTag<S>, side: &DataStream<S>) {
        self.env.with_graph(|graph| {
            for (edge, side) in self.edges.iter().zip(&side.edges) {
                graph.add_side_output(edge.from, tag.name(), TypeId::of::<S>(), side.from);
            }
        });
    }

    /// A part of the records of this stream, which counts as an output of the same operator.
    pub(crate) fn part<P: Data, F>(&self, name: &str, part: Part<F, T, P>) -> DataStream<P>
    where
        F: Fn(T) -> Option<P> + Clone + Send + Sync + 'static,
    {
        let stream: DataStream<P> = transform(&self.env, name, self.edges.clone(), part);
        self.env.with_graph(|graph| {
            for (part, whole) in stream.edges.iter().zip(&self.edges) {
                graph.node_mut(part.from).parallelism = Some(INHERIT);
                graph.add_part(part.from, whole.from);
            }
        });
        stream
    }
}
