//! What a task has to know of its input channels.

use crate::gate::InputGate;
use crate::spill::recall;
use snapline_barrier::{
    BarrierAligner, BarrierHandler, BarrierTracker, ChannelIndex, EndOfInputRule, LoopHead,
};
use snapline_core::{BarrierAlignment, BoxedBatch, Result};
use snapline_dataflow::OutputFactory;
use snapline_state::ChannelOrigin;
use std::fmt;
use std::sync::Arc;

/// All input channels of a task.
pub(crate) struct Inputs {
    pub(super) gate: InputGate,
    pub(super) channels: Vec<Channel>,
    pub(super) handler: Box<dyn BarrierHandler>,
    pub(super) is_loop_entry: bool,
}

/// One input channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Where its records come from.
    pub(crate) origin: ChannelOrigin,
    /// The position of the sending task among all tasks of the job.
    pub(crate) sender: u32,
    /// How many batches were sent before the newest barrier, or the end.
    pub(crate) sent: u64,
    /// Whether it is aligned even by an unaligned checkpoint.
    pub(crate) stays_aligned: bool,
    /// If it closes a loop, what it has of that.
    pub(crate) back_edge: Option<BackEdge>,
}

/// A channel that closes a loop.
pub(crate) struct BackEdge {
    /// The output that sends on it.
    pub(crate) output: Arc<dyn OutputFactory>,
}

impl Channel {
    pub(super) fn is_back_edge(&self) -> bool {
        self.back_edge.is_some()
    }
}

impl BackEdge {
    /// A batch that was delivered, in memory.
    ///
    /// # Errors
    /// As [`recall`].
    pub(super) fn recall(&self, batch: BoxedBatch) -> Result<BoxedBatch> {
        recall(batch, |bytes| self.output.decode(bytes))
    }
}

impl fmt::Debug for BackEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackEdge")
    }
}

impl Inputs {
    /// The channels of a gate, whose barriers are aligned like this.
    pub(crate) fn new(gate: InputGate, channels: Vec<Channel>, alignment: BarrierAlignment) -> Self {
        let count = channels.len() as u32;
        let forced = (0..).map(ChannelIndex).zip(&channels);
        let forced = forced.filter_map(|(index, channel)| channel.stays_aligned.then_some(index));
        let rule = EndOfInputRule::StandsIn;
        let handler = match alignment {
            BarrierAlignment::AtLeastOnce => handler(BarrierTracker::new(count, rule), &channels),
            _ => handler(BarrierAligner::with_forced(count, rule, forced), &channels),
        };
        let back_edges = channels
            .iter()
            .enumerate()
            .filter(|(_, channel)| channel.is_back_edge());
        let back_edges: Vec<usize> = back_edges.map(|(index, _)| index).collect();
        Self {
            gate: gate.with_back_edges(back_edges),
            channels,
            handler,
            is_loop_entry: false,
        }
    }

    /// The same of a task at which records come into a loop: it ends its data when the loop is over.
    pub(crate) fn of_loop_entry(self) -> Self {
        Self {
            is_loop_entry: true,
            ..self
        }
    }
}

/// The handler of these channels, if that one is right for their regular ones.
fn handler(regular: impl BarrierHandler + 'static, channels: &[Channel]) -> Box<dyn BarrierHandler> {
    let back_edges = (0..).map(ChannelIndex).zip(channels);
    let back_edges = back_edges.filter_map(|(index, channel)| channel.is_back_edge().then_some(index));
    let back_edges: Vec<ChannelIndex> = back_edges.collect();
    if back_edges.is_empty() {
        return Box::new(regular);
    }
    Box::new(LoopHead::new(regular, back_edges))
}
