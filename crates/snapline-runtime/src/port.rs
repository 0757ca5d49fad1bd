//! The output channels of a task towards one next operator.

use crate::gate::GateSender;
use crate::history::SharedHistory;
use crate::spill::Spill;
use snapline_barrier::{ChannelClock, ChannelSender};
use snapline_core::{AttemptId, BoxedBatch, Frame, Result, StreamElement};
use snapline_dataflow::{OutputPort, PortSignal};
use std::task::{Context, Poll};

/// Sends frames on channels and numbers them.
#[derive(Debug)]
pub struct ResultPartition {
    channels: Vec<Channel>,
    history: SharedHistory,
    limit: Limit,
}

/// What happens when there is much on a channel.
#[derive(Debug)]
enum Limit {
    /// Its sender waits.
    Waits,
    /// On a back edge it goes on, since a ring of senders that wait for each other would stand still for ever.
    Spills(Spill),
}

#[derive(Debug)]
struct Channel {
    counter: ChannelSender,
    clock: ChannelClock,
    sender: GateSender,
}

impl ResultPartition {
    /// The channels to all subtasks of the next operator, in subtask order.
    pub fn new(attempt: AttemptId, senders: Vec<GateSender>) -> Self {
        let counted = |sender| (ChannelSender::new(attempt), sender);
        Self::resume(senders.into_iter().map(counted).collect())
    }

    /// The same, of channels on which something was sent before.
    pub fn resume(channels: Vec<(ChannelSender, GateSender)>) -> Self {
        let channel = |(counter, sender)| Channel {
            counter,
            clock: ChannelClock::default(),
            sender,
        };
        Self {
            channels: channels.into_iter().map(channel).collect(),
            history: SharedHistory::default(),
            limit: Limit::Waits,
        }
    }

    /// The same as a back edge of a loop, which never keeps its sender waiting.
    pub(crate) fn back_edge(self, spill: Spill) -> Self {
        let limit = Limit::Spills(spill);
        Self { limit, ..self }
    }

    /// Tells on each channel what the task knows of the others.
    pub(crate) fn with_history(self, history: SharedHistory) -> Self {
        Self { history, ..self }
    }
}

impl OutputPort for ResultPartition {
    fn channels(&self) -> usize {
        self.channels.len()
    }

    fn send_batch(&mut self, channel: usize, batch: BoxedBatch) -> Option<BoxedBatch> {
        let channel = &mut self.channels[channel];
        let batch = match &mut self.limit {
            Limit::Waits => batch,
            Limit::Spills(spill) => spill.store(channel.sender.waiting_bytes(), batch),
        };
        channel.sender.send(Frame {
            header: channel.counter.next_header(),
            clock: self.history.on_send(&mut channel.clock),
            element: StreamElement::Batch(batch),
        })
    }

    fn send_to_all(&mut self, message: PortSignal) {
        for Channel { counter, sender, .. } in &mut self.channels {
            let header = counter.header();
            let element = match message {
                PortSignal::Barrier(barrier) => StreamElement::Barrier {
                    barrier,
                    sent: counter.on_barrier(barrier.checkpoint),
                },
                PortSignal::CancelCheckpoint(checkpoint) => {
                    counter.on_cancel(checkpoint);
                    StreamElement::CancelCheckpoint(checkpoint)
                }
                PortSignal::Watermark(watermark) => StreamElement::Watermark(watermark),
                PortSignal::Idle => StreamElement::Idle,
                PortSignal::Active => StreamElement::Active,
                PortSignal::EndOfData => StreamElement::EndOfData,
                PortSignal::EndOfInput => StreamElement::EndOfInput,
            };
            let clock = None;
            sender.send(Frame {
                header,
                clock,
                element,
            });
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut all = Poll::Ready(Ok(()));
        if matches!(self.limit, Limit::Spills(_)) {
            return all;
        }
        for channel in &self.channels {
            if channel.sender.poll_ready(cx).is_pending() {
                all = Poll::Pending;
            }
        }
        all
    }
}
