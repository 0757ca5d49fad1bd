//! How the records of a stream are dealt out to the subtasks of the next operator.

use crate::graph::{NodeFactory, StreamEdge, StreamNode};
use crate::operator::identity::Identity;
use crate::output::Partitioning;
use crate::output::custom::CustomOutput;
use crate::plan::INHERIT;
use crate::stream::DataStream;
use snapline_core::Data;
use std::sync::Arc;

/// Without any of these, records stay in the subtask of their number, in one task with the next operator; where that has
/// another parallelism, they are dealt out in turn.
impl<T: Data> DataStream<T> {
    /// Each record stays in the subtask of its number. As when nothing is said, but a next operator of another parallelism is
    /// a mistake that is told when the job is planned.
    #[must_use]
    pub fn forward(&self) -> Self {
        self.dealt_out(Partitioning::Forward)
    }

    /// The next operator gets the records dealt out in turn to its subtasks.
    #[must_use]
    pub fn rebalance(&self) -> Self {
        self.dealt_out(Partitioning::Rebalance)
    }

    /// Each subtask deals its records out in turn to a few subtasks of the next operator, or several share one: there are as
    /// few channels as the parallelisms allow. The load is even where that of the subtasks is and one parallelism is a
    /// multiple of the other.
    ///
    /// Few channels also mean that fewer tasks restart together. Barriers of unaligned checkpoints do not overtake records
    /// here.
    #[must_use]
    pub fn rescale(&self) -> Self {
        self.dealt_out(Partitioning::Rescale)
    }

    /// The next operator gets each record in any of its subtasks, all being as likely. Which it is depends on the job, the
    /// operator, the subtask and the attempt, so a run can be repeated.
    #[must_use]
    pub fn shuffle(&self) -> Self {
        self.dealt_out(Partitioning::Shuffle)
    }

    /// Every subtask of the next operator gets all records.
    #[must_use]
    pub fn broadcast(&self) -> Self {
        self.dealt_out(Partitioning::Broadcast)
    }

    /// The first subtask of the next operator gets all records, the others none.
    #[must_use]
    pub fn global(&self) -> Self {
        self.dealt_out(Partitioning::Global)
    }

    /// The function says which subtask of the next operator a record goes to, of how many there are.
    ///
    /// It should depend on nothing else. Records that are in flight at a checkpoint are asked about again when they are
    /// restored at another parallelism. State per key needs [`key_by`](Self::key_by): only there it moves with the records.
    ///
    /// A number that is too large fails the job.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// Small numbers to the first subtask, the others to the last.
    /// fn by_size(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.partition_custom(|number, subtasks| if *number < 10 { 0 } else { subtasks - 1 })
    /// }
    /// ```
    #[must_use]
    pub fn partition_custom(&self, partitioner: impl Fn(&T, u32) -> u32 + Send + Sync + 'static) -> Self {
        let output = Arc::new(CustomOutput::new(Arc::new(partitioner)));
        let edge = |edge: &StreamEdge| StreamEdge {
            from: self.env.add(StreamNode {
                name: "partition".to_owned(),
                uid: None,
                parallelism: Some(INHERIT),
                inputs: vec![StreamEdge::from(edge.from)],
                factory: NodeFactory::Operator(Arc::new(Identity)),
                output: Some(output.clone()),
            }),
            partitioning: Partitioning::Custom,
        };
        Self {
            edges: self.edges.iter().map(edge).collect(),
            ..self.clone()
        }
    }

    fn dealt_out(&self, partitioning: Partitioning) -> Self {
        let mut stream = self.clone();
        let edges = stream.edges.iter_mut();
        edges.for_each(|edge| edge.partitioning = partitioning);
        stream
    }
}
