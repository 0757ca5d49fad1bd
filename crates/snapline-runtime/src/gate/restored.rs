//! Batches that were in flight when the restored checkpoint was taken.

use super::{InputGate, State, size};
use snapline_core::{BoxedBatch, Frame};

impl InputGate {
    /// Puts frames that a checkpoint has kept on a channel, before anything is sent on it.
    pub fn restore(&mut self, index: usize, frames: impl IntoIterator<Item = Frame<BoxedBatch>>) {
        let mut state = self.shared.lock();
        let channel = &mut state.channels[index];
        let queued = channel.queue.len();
        for frame in frames {
            channel.bytes += size(&frame);
            channel.queue.push_back(frame);
        }
        let restored = channel.queue.len() - queued;
        channel.restored += restored;
        state.restored += restored;
        state.list(index);
    }
}

impl State {
    /// A restored frame of a channel was taken. After the last one of all, every channel delivers.
    #[cold]
    pub(super) fn on_restored_taken(&mut self, index: usize) {
        self.channels[index].restored -= 1;
        self.restored -= 1;
        if self.restored == 0 {
            (0..self.channels.len()).for_each(|channel| _ = self.list(channel));
        }
    }
}
