//! Barriers that overtake the batches that are queued before them.

use super::{Channel, InputGate, Shared, State, is_marker};
use snapline_core::{BoxedBatch, CheckpointBarrier, Frame, StreamElement};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

impl InputGate {
    /// Whether [`InputGate::poll_announcement`] is worth the call.
    #[inline]
    pub fn has_announcements(&self) -> bool {
        self.shared.has_announcements.load(Ordering::Relaxed)
    }

    /// A barrier that is queued on a channel and that may overtake, told once, unless it was delivered
    /// before. It is the first marker of its channel; those behind it are told of when it was taken.
    pub fn poll_announcement(&mut self, cx: &mut Context<'_>) -> Poll<(usize, CheckpointBarrier)> {
        let mut state = self.shared.lock();
        let announcement = state.announcements.pop_front();
        self.shared.note_announcements(&state);
        if announcement.is_none() {
            state.listener = Some(cx.waker().clone());
        }
        announcement.map_or(Poll::Pending, Poll::Ready)
    }

    /// Takes the barrier that is the first marker of a channel out of its queue, ahead of everything
    /// before it. `None` when the first marker is no barrier, or there is none.
    pub fn prioritize(&mut self, index: usize) -> Option<Frame<BoxedBatch>> {
        let mut state = self.shared.lock();
        let channel = &mut state.channels[index];
        let position = channel.queue.iter().position(is_marker)?;
        if !matches!(channel.queue[position].element, StreamElement::Barrier { .. }) {
            return None;
        }
        let frame = channel.queue.remove(position)?;
        if channel.queue.is_empty() && channel.listed {
            channel.listed = false;
            state.ready.retain(|ready| *ready != index);
        }
        self.shared.on_marker_taken(&mut state, index);
        Some(frame)
    }

    /// Shows the queued batches of a channel whose number is below `sent`, in order: what a barrier
    /// has overtaken. They stay queued. The senders do not wait meanwhile.
    pub fn look_at_overtaken(&mut self, index: usize, sent: u64, mut look: impl FnMut(u64, &BoxedBatch)) {
        let mut overtaken = self.shared.lock().channels[index].split_off_before(sent);
        for frame in &overtaken {
            if let StreamElement::Batch(batch) = &frame.element {
                look(frame.header.seq, batch);
            }
        }
        let mut state = self.shared.lock();
        let queue = &mut state.channels[index].queue;
        overtaken.append(queue);
        *queue = overtaken;
    }
}

impl Shared {
    /// Counts a marker that was put on a channel, and says whether it is announced.
    #[cold]
    pub(super) fn on_marker_sent(&self, state: &mut State, index: usize) -> bool {
        state.channels[index].markers += 1;
        state.channels[index].markers == 1 && self.announce(state, index)
    }

    /// The first marker of a channel was taken: the next one may be announced.
    #[cold]
    pub(super) fn on_marker_taken(&self, state: &mut State, index: usize) {
        state.announcements.retain(|(channel, _)| *channel != index);
        state.channels[index].markers -= 1;
        if state.channels[index].markers > 0 {
            self.announce(state, index);
        }
        self.note_announcements(state);
    }

    /// Announces the first marker of a channel if it may overtake.
    fn announce(&self, state: &mut State, index: usize) -> bool {
        let mut markers = state.channels[index]
            .queue
            .iter()
            .filter(|frame| is_marker(frame));
        match markers.next().map(|frame| &frame.element) {
            Some(StreamElement::Barrier { barrier, .. }) if barrier.options.alignment.may_record() => {
                state.announcements.push_back((index, *barrier));
                self.note_announcements(state);
                true
            }
            _ => false,
        }
    }

    fn note_announcements(&self, state: &State) {
        self.has_announcements
            .store(!state.announcements.is_empty(), Ordering::Relaxed);
    }
}

impl Channel {
    /// Takes everything before the batch of this number out of the queue.
    fn split_off_before(&mut self, sent: u64) -> VecDeque<Frame<BoxedBatch>> {
        let is_behind = |frame: &Frame<BoxedBatch>| frame.header.seq >= sent;
        let rest = match self.queue.iter().position(is_behind) {
            Some(position) => self.queue.split_off(position),
            None => VecDeque::new(),
        };
        std::mem::replace(&mut self.queue, rest)
    }
}
