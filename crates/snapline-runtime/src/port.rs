//! The output channels of a task towards one next operator.

use crate::gate::GateSender;
use snapline_barrier::ChannelSender;
use snapline_core::{AttemptId, BoxedBatch, Frame, Result, StreamElement};
use snapline_dataflow::{OutputPort, PortSignal};
use std::task::{Context, Poll};

/// Sends frames on channels and numbers them.
#[derive(Debug)]
pub struct ResultPartition {
    channels: Vec<(ChannelSender, GateSender)>,
}

impl ResultPartition {
    /// The channels to all subtasks of the next operator, in subtask order.
    pub fn new(attempt: AttemptId, senders: Vec<GateSender>) -> Self {
        let counted = |sender| (ChannelSender::new(attempt), sender);
        Self::resume(senders.into_iter().map(counted).collect())
    }

    /// The same, of channels on which something was sent before.
    pub fn resume(channels: Vec<(ChannelSender, GateSender)>) -> Self {
        Self { channels }
    }
}

impl OutputPort for ResultPartition {
    fn channels(&self) -> usize {
        self.channels.len()
    }

    fn send_batch(&mut self, channel: usize, batch: BoxedBatch) -> Option<BoxedBatch> {
        let (counter, sender) = &mut self.channels[channel];
        sender.send(Frame {
            header: counter.next_header(),
            clock: None,
            element: StreamElement::Batch(batch),
        })
    }

    fn send_to_all(&mut self, message: PortSignal) {
        for (counter, sender) in &mut self.channels {
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
        for (_, sender) in &self.channels {
            if sender.poll_ready(cx).is_pending() {
                all = Poll::Pending;
            }
        }
        all
    }
}
