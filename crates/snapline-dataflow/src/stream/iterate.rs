//! Streams that go round in a loop.

use crate::graph::StreamEdge;
use crate::operator::identity::Identity;
use crate::plan::loops::not_of_the_loop;
use crate::stream::DataStream;
use snapline_core::Data;

impl<T: Data> DataStream<T> {
    /// Sends records round a loop until nothing is left to do.
    ///
    /// The body is given this stream and everything that comes back, as one stream. It returns the
    /// stream that goes back to where the loop begins, and whatever comes out of the loop: a stream,
    /// several, nothing.
    ///
    /// Exactly once holds as everywhere: a snapshot also keeps the records that are on their way round
    /// (Carbone et al. 2015, section 4.3), and what comes in stays apart from what comes back even
    /// when a barrier passes.
    ///
    /// # When it ends
    ///
    /// A loop is over when its input has ended and a completed checkpoint shows that nothing is left
    /// inside, answers to come ([`async_map`](Self::async_map)) included. The body must let go of every
    /// record some time, or the job never ends.
    /// A loop needs no interval of checkpoints for that: at the end of its input it asks for
    /// checkpoints of its own. A body must not emit records when it is over
    /// ([`Emit::Final`](crate::Emit::Final)) into the stream that goes back: they could not be processed
    /// any more, and the job fails.
    ///
    /// # Limits
    ///
    /// * The loop has one entry. A body that takes records from elsewhere is refused when the job is
    ///   planned; union such a stream with this one before the loop.
    /// * Event time stands still inside the loop, and behind it, until the loop is over: nobody knows earlier
    ///   that no record with an earlier time is inside.
    /// * The sender of a back edge never waits, because a full ring would stand still for ever; when much is
    ///   waiting, records from outside wait instead. Above
    ///   [`loop_bytes`](snapline_core::JobSettings::loop_bytes) it waits in files of the scratch folder, which has to
    ///   have room for all that is inside of the loop; on a full disk it stays in memory. So it does after a restart
    ///   from a checkpoint in which much was waiting, until it is processed.
    ///
    /// # Examples
    ///
    /// Every number counts down to zero; `countdown` sees all of them:
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// fn countdown(numbers: DataStream<u64>) -> DataStream<u64> {
    ///     numbers.iterate(|numbers| {
    ///         let smaller = numbers.filter(|number| *number > 0).map(|number| number - 1);
    ///         (smaller, numbers)
    ///     })
    /// }
    /// ```
    pub fn iterate<O>(&self, body: impl FnOnce(Self) -> (Self, O)) -> O {
        let looped: Self = self.transform("iterate", Identity);
        let (back, out) = body(looped.clone());
        self.env.with_graph(|graph| {
            for StreamEdge { from: head, .. } in &looped.edges {
                if let Some(edge) = back.edges.iter().find(|edge| !edge.is_back_edge(*head)) {
                    let name = |node: usize| graph.nodes()[node].name.clone();
                    let mistake = not_of_the_loop(&name(head.0), &name(edge.from.0));
                    graph.mistake(mistake);
                }
                graph.node_mut(*head).inputs.extend(&back.edges);
            }
        });
        out
    }
}
