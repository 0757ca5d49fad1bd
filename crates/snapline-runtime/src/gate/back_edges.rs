//! What comes back in a loop goes before what comes in, when there is much of it.
//!
//! The sender of a back edge never waits, so a loop that is fed faster than it lets go of its records
//! would grow without end.

use super::{InputGate, State};

/// So many turns go to back edges before one goes to any other channel, which may have a barrier.
const TURNS: u32 = 16;

/// The back edges among the channels of a gate.
#[derive(Debug, Default)]
pub(super) struct BackEdges {
    channels: Vec<usize>,
    turns: u32,
}

impl InputGate {
    /// Tells the gate which of its channels close a loop.
    #[must_use]
    pub fn with_back_edges(self, channels: impl IntoIterator<Item = usize>) -> Self {
        let mut state = self.shared.lock();
        state.back_edges.channels = channels.into_iter().collect();
        drop(state);
        self
    }
}

impl State {
    /// The position among the ready channels of the one that delivers next, in their own order but for
    /// back edges that hold more than `limit` bytes.
    #[inline]
    pub(super) fn own_turn(&mut self, limit: usize) -> usize {
        if self.back_edges.channels.is_empty() {
            return 0;
        }
        let waiting = self.back_edges.channels.iter();
        let waiting: usize = waiting.map(|channel| self.channels[*channel].bytes).sum();
        self.back_edges.turns += 1;
        if waiting <= limit || self.back_edges.turns.is_multiple_of(TURNS) {
            return 0;
        }
        let is_back_edge = |ready: &usize| self.back_edges.channels.contains(ready);
        self.ready.iter().position(is_back_edge).unwrap_or(0)
    }
}
