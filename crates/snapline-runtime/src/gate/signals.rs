//! What is no batch and has none before it.

use super::InputGate;
use snapline_core::{BoxedBatch, Frame, StreamElement};

impl InputGate {
    /// The next element of a channel that is not blocked, if it is no batch, and the channel: what a task may take that
    /// cannot take records. Whoever listens for announcements is woken when there is one.
    pub fn next_signal(&mut self) -> Option<(usize, Frame<BoxedBatch>)> {
        let mut state = self.shared.lock();
        let is_signal = |channel: &usize| state.channels[*channel].queue.front().is_some_and(is_signal);
        let position = state.ready.iter().position(is_signal)?;
        self.shared.take(&mut state, position)
    }
}

pub(super) fn is_signal(frame: &Frame<BoxedBatch>) -> bool {
    !matches!(frame.element, StreamElement::Batch(_))
}
