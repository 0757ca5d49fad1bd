//! What a task has to know of its input channels.

use crate::gate::InputGate;
use snapline_barrier::{BarrierAligner, BarrierHandler, BarrierTracker, ChannelIndex, EndOfInputRule};
use snapline_core::BarrierAlignment;
use snapline_state::ChannelOrigin;

/// All input channels of a task.
pub(crate) struct Inputs {
    pub(super) gate: InputGate,
    pub(super) channels: Vec<Channel>,
    pub(super) handler: Box<dyn BarrierHandler>,
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
}

impl Inputs {
    /// The channels of a gate, whose barriers are aligned like this.
    pub(crate) fn new(gate: InputGate, channels: Vec<Channel>, alignment: BarrierAlignment) -> Self {
        let count = channels.len() as u32;
        let forced = (0..).map(ChannelIndex).zip(&channels);
        let forced = forced.filter_map(|(index, channel)| channel.stays_aligned.then_some(index));
        let rule = EndOfInputRule::StandsIn;
        let handler: Box<dyn BarrierHandler> = match alignment {
            BarrierAlignment::AtLeastOnce => Box::new(BarrierTracker::new(count, rule)),
            _ => Box::new(BarrierAligner::with_forced(count, rule, forced)),
        };
        Self {
            gate,
            channels,
            handler,
        }
    }
}
