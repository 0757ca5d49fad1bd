//! All input channels of one task.
//!
//! A channel is a FIFO from one upstream subtask, bounded in bytes. The channels of a task share one
//! lock, which is held for the time of a push or a pop, once per batch. A channel that has
//! something to deliver and is not blocked stands in a queue, so that channels take turns and idle
//! ones cost nothing.
//!
//! The sender puts a barrier at the end of the queue, always. Whether it overtakes what is queued
//! before it the receiver decides: it is told of the barrier at once, and may take it out of the queue.

mod back_edges;
mod overtaking;
mod restored;
mod signals;

use crate::network::Network;
use back_edges::BackEdges;
use signals::is_signal;
use snapline_core::{BoxedBatch, CheckpointBarrier, Frame, StreamElement, SubtaskId};
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// How many emptied batches a channel keeps for its sender.
const SPARE_BATCHES: usize = 4;

/// The receiving end of all channels of a task.
#[derive(Debug)]
#[doc(alias = "mailbox")]
pub struct InputGate {
    shared: Arc<Shared>,
    /// Who decides the turns of the channels, and of which task they are.
    network: Option<(SubtaskId, Arc<dyn Network>)>,
}

/// The sending end of one channel.
#[derive(Debug)]
pub struct GateSender {
    shared: Arc<Shared>,
    channel: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    limit: usize,
    /// Whether there are announcements, to be seen without the lock.
    has_announcements: AtomicBool,
}

#[derive(Debug)]
struct State {
    channels: Vec<Channel>,
    /// Channels that have something to deliver, each once.
    ready: VecDeque<usize>,
    /// Barriers that the receiver is to be told of, and their channels.
    announcements: VecDeque<(usize, CheckpointBarrier)>,
    /// How many restored frames all channels have. While there are any, the others deliver nothing:
    /// what was in flight comes before everything that its senders may send now.
    restored: usize,
    back_edges: BackEdges,
    receiver: Option<Waker>,
    /// Waits for announcements, and for what is no batch and has none before it.
    listener: Option<Waker>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Channel {
    queue: VecDeque<Frame<BoxedBatch>>,
    bytes: usize,
    /// How many barriers and cancel markers are queued.
    markers: usize,
    /// How many of the first frames are restored ones.
    restored: usize,
    blocked: bool,
    listed: bool,
    spare: Vec<BoxedBatch>,
    sender: Option<Waker>,
}

/// A gate with this many channels of `limit` bytes each, and the senders in channel order.
pub fn input_gate(channels: usize, limit: usize) -> (InputGate, Vec<GateSender>) {
    let state = State {
        channels: std::iter::repeat_with(Channel::default).take(channels).collect(),
        ready: VecDeque::new(),
        announcements: VecDeque::new(),
        restored: 0,
        back_edges: BackEdges::default(),
        receiver: None,
        listener: None,
        closed: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        limit,
        has_announcements: AtomicBool::new(false),
    });
    let senders = (0..channels)
        .map(|channel| GateSender {
            shared: shared.clone(),
            channel,
        })
        .collect();
    let network = None;
    (InputGate { shared, network }, senders)
}

impl InputGate {
    /// Lets a network decide the turns of the channels of this task.
    #[must_use]
    pub fn with_network(mut self, task: SubtaskId, network: Arc<dyn Network>) -> Self {
        self.network = Some((task, network));
        self
    }

    /// The next element of any channel that is not blocked, and the channel.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Frame<BoxedBatch>)> {
        let mut state = self.shared.lock();
        let turn = ready!(state.turn(self.network.as_ref(), self.shared.limit, cx));
        let Some((index, frame)) = self.shared.take(&mut state, turn) else {
            state.receiver = Some(cx.waker().clone());
            if !state.announcements.is_empty() {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        let channel = &mut state.channels[index];
        let waiting = if channel.bytes <= self.shared.limit / 2 {
            channel.sender.take()
        } else {
            None
        };
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Poll::Ready((index, frame))
    }

    /// Gives an emptied batch back to the sender of a channel.
    pub fn recycle(&mut self, channel: usize, batch: BoxedBatch) {
        let mut state = self.shared.lock();
        let spare = &mut state.channels[channel].spare;
        if spare.len() < SPARE_BATCHES {
            spare.push(batch);
        }
    }

    /// Takes nothing from a channel until it is unblocked. Its sender may fill it.
    pub fn block(&mut self, channel: usize) {
        let mut state = self.shared.lock();
        state.channels[channel].blocked = true;
        state.channels[channel].listed = false;
        state.ready.retain(|ready| *ready != channel);
    }

    /// Goes on with a channel.
    pub fn unblock(&mut self, channel: usize) {
        let mut state = self.shared.lock();
        state.channels[channel].blocked = false;
        state.list(channel);
    }
}

impl Drop for InputGate {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let waiting: Vec<Waker> = state
            .channels
            .iter_mut()
            .filter_map(|channel| channel.sender.take())
            .collect();
        let dropped: Vec<Channel> = std::mem::take(&mut state.channels);
        drop(state);
        drop(dropped);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl GateSender {
    /// Puts an element on the channel, whether there is room or not, and returns an emptied batch if
    /// there is one. What is sent to a receiver that is gone is lost.
    pub fn send(&self, frame: Frame<BoxedBatch>) -> Option<BoxedBatch> {
        let mut state = self.shared.lock();
        if state.closed {
            return None;
        }
        let channel = &mut state.channels[self.channel];
        if channel.is_overtaken_by(&frame) {
            channel.queue.pop_back();
        }
        channel.bytes += size(&frame);
        let (is_marker, is_signal) = (is_marker(&frame), is_signal(&frame));
        channel.queue.push_back(frame);
        let spare = channel.spare.pop();
        let newly_ready = state.list(self.channel);
        let is_announced = is_marker && self.shared.on_marker_sent(&mut state, self.channel);
        let wake = newly_ready || is_announced;
        let receiver = if wake { state.receiver.take() } else { None };
        let listener = match is_announced || (is_signal && newly_ready) {
            true => state.listener.take(),
            false => None,
        };
        drop(state);
        receiver.into_iter().chain(listener).for_each(Waker::wake);
        spare
    }

    /// How many bytes wait on the channel, without what their records own elsewhere.
    pub fn waiting_bytes(&self) -> usize {
        let state = self.shared.lock();
        state
            .channels
            .get(self.channel)
            .map_or(0, |channel| channel.bytes)
    }

    /// Ready when the channel has room.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.closed || state.channels[self.channel].bytes < self.shared.limit {
            return Poll::Ready(());
        }
        state.channels[self.channel].sender = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next frame of the channel at this position among those that are ready.
    #[inline]
    fn take(&self, state: &mut State, position: usize) -> Option<(usize, Frame<BoxedBatch>)> {
        let index = state.ready.remove(position)?;
        let channel = &mut state.channels[index];
        channel.listed = false;
        let Some(frame) = channel.queue.pop_front() else {
            debug_assert!(false, "an empty channel was listed");
            return None;
        };
        channel.bytes -= size(&frame);
        if is_marker(&frame) {
            self.on_marker_taken(state, index);
        }
        if state.restored > 0 {
            state.on_restored_taken(index);
        }
        state.list(index);
        Some((index, frame))
    }
}

impl Channel {
    /// Whether the newest frame says nothing that this one does not say: a watermark before a later one. So
    /// watermarks do not pile up where no records go.
    fn is_overtaken_by(&self, frame: &Frame<BoxedBatch>) -> bool {
        let is_watermark = |frame: &Frame<BoxedBatch>| matches!(frame.element, StreamElement::Watermark(_));
        is_watermark(frame) && self.queue.back().is_some_and(is_watermark)
    }
}

impl State {
    /// The position among the ready channels of the one that delivers next.
    fn turn(
        &mut self,
        network: Option<&(SubtaskId, Arc<dyn Network>)>,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let Some((task, network)) = network.filter(|_| !self.ready.is_empty()) else {
            return Poll::Ready(self.own_turn(limit));
        };
        let turn = ready!(network.poll_turn(task, self.ready.make_contiguous(), cx));
        Poll::Ready(if turn < self.ready.len() { turn } else { 0 })
    }

    /// Puts a channel into the queue if it has something to deliver and is not there.
    fn list(&mut self, index: usize) -> bool {
        let channel = &mut self.channels[index];
        if channel.listed || channel.blocked || channel.queue.is_empty() {
            return false;
        }
        if self.restored > 0 && channel.restored == 0 {
            return false;
        }
        channel.listed = true;
        self.ready.push_back(index);
        true
    }
}

fn is_marker(frame: &Frame<BoxedBatch>) -> bool {
    matches!(
        frame.element,
        StreamElement::Barrier { .. } | StreamElement::CancelCheckpoint(_)
    )
}

fn size(frame: &Frame<BoxedBatch>) -> usize {
    match &frame.element {
        StreamElement::Batch(batch) => batch.size(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
