//! A task that gets its records from other tasks.

use super::{BATCHES_PER_TURN, ControlReceiver, Reporter, TaskControl};
use crate::gate::InputGate;
use crate::probe::TaskStep;
use futures::StreamExt;
use snapline_barrier::{
    AlignmentAction, BarrierAligner, BarrierHandler, BarrierTracker, ChannelCut, ChannelIndex,
    ChannelReceiver, DeclineReason, EndOfInputRule, verify_aligned_cut,
};
use snapline_coordinator::FailureReason;
use snapline_core::{BarrierAlignment, BoxedBatch, CheckpointBarrier, Error, Frame, Result, StreamElement};
use snapline_dataflow::{Signal, TaskHead, TaskSnapshot};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Processes what its channels deliver and aligns their barriers.
pub(crate) struct GateTask {
    head: Box<dyn TaskHead>,
    gate: InputGate,
    receivers: Vec<ChannelReceiver>,
    /// For each channel how many batches its sender counted before the newest barrier.
    sent: Vec<u64>,
    handler: Box<dyn BarrierHandler>,
    actions: Vec<AlignmentAction>,
    control: ControlReceiver,
    reporter: Reporter,
    with_data: usize,
    is_dirty: bool,
}

impl GateTask {
    pub(crate) fn new(
        head: Box<dyn TaskHead>,
        gate: InputGate,
        channels: usize,
        alignment: BarrierAlignment,
        control: ControlReceiver,
        reporter: Reporter,
    ) -> Self {
        let receiver = |channel| ChannelReceiver::new(ChannelIndex(channel), reporter.attempt);
        Self {
            head,
            gate,
            receivers: (0..channels as u32).map(receiver).collect(),
            sent: vec![0; channels],
            handler: handler(alignment, channels as u32),
            actions: Vec::new(),
            control,
            with_data: channels,
            is_dirty: false,
            reporter,
        }
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Poll::Ready(message) = self.control.poll_next_unpin(cx) {
            match message {
                Some(TaskControl::Abort(checkpoint)) => {
                    self.reporter.probe(TaskStep::Abort(checkpoint));
                    self.reporter.on_abort(checkpoint);
                    self.handler
                        .on_abort(checkpoint, self.reporter.clock.now(), &mut self.actions);
                    self.carry_out()?;
                }
                Some(TaskControl::Complete(checkpoint)) => {
                    self.reporter.probe(TaskStep::Complete(checkpoint));
                    self.reporter.on_complete(checkpoint);
                    self.head.on_signal(&mut Signal::CheckpointComplete(checkpoint))?;
                }
                Some(TaskControl::Cancel) | None => return Poll::Ready(Ok(())),
                Some(TaskControl::Trigger(_) | TaskControl::Drain | TaskControl::Finish) => {
                    return Poll::Ready(Err(Error::internal(
                        "a task without a source was told to act as a source",
                    )));
                }
            }
        }
        Poll::Pending
    }

    /// Processes until nothing is delivered, no room to write, or it is the turn of others.
    fn poll_process(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        for _ in 0..BATCHES_PER_TURN {
            if self.head.poll_ready(cx)?.is_pending() {
                return Poll::Pending;
            }
            match self.gate.poll_next(cx) {
                Poll::Ready((channel, frame)) => self.on_frame(channel, frame)?,
                Poll::Pending => {
                    self.flush()?;
                    return Poll::Pending;
                }
            }
            if self.handler.open_channels() == 0 {
                return Poll::Ready(self.head.on_signal(&mut Signal::EndOfInput));
            }
            self.reporter.note(self.head.poll_advance(cx));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn on_frame(&mut self, channel: usize, frame: Frame<BoxedBatch>) -> Result<()> {
        let index = ChannelIndex(channel as u32);
        let now = self.reporter.clock.now();
        match frame.element {
            StreamElement::Batch(mut batch) => {
                self.reporter.probe(TaskStep::Batch { channel });
                self.receivers[channel].on_batch(frame.header)?;
                self.head.on_batch(&mut batch)?;
                self.gate.recycle(channel, batch);
                self.is_dirty = true;
                return Ok(());
            }
            StreamElement::Barrier { barrier, sent } => {
                let checkpoint = barrier.checkpoint;
                self.reporter.probe(TaskStep::Barrier { channel, checkpoint });
                self.receivers[channel].on_barrier(barrier.checkpoint, sent)?;
                self.sent[channel] = sent;
                self.handler.on_barrier(index, barrier, now, &mut self.actions);
            }
            StreamElement::CancelCheckpoint(checkpoint) => {
                self.reporter
                    .probe(TaskStep::CancelCheckpoint { channel, checkpoint });
                self.receivers[channel].on_cancel(checkpoint)?;
                self.handler.on_cancel(index, checkpoint, now, &mut self.actions);
            }
            StreamElement::EndOfData => self.on_end_of_data()?,
            StreamElement::EndOfInput => {
                self.reporter.probe(TaskStep::EndOfInput { channel });
                self.receivers[channel].on_end_of_input(frame.header)?;
                self.sent[channel] = frame.header.seq;
                self.handler.on_end_of_input(index, now, &mut self.actions);
            }
            element => return Err(unknown(&element)),
        }
        self.carry_out()
    }

    fn on_end_of_data(&mut self) -> Result<()> {
        self.with_data -= 1;
        if self.with_data == 0 {
            self.reporter.probe(TaskStep::EndOfData);
            self.head.on_signal(&mut Signal::EndOfData)?;
            self.reporter.end_of_data();
        }
        Ok(())
    }

    fn carry_out(&mut self) -> Result<()> {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                AlignmentAction::Block(channel) => self.gate.block(channel.as_usize()),
                AlignmentAction::Unblock(channel) => self.gate.unblock(channel.as_usize()),
                AlignmentAction::Snapshot { barrier, .. } => self.take_snapshot(barrier)?,
                AlignmentAction::Decline { checkpoint, reason } => {
                    self.reporter.declined(checkpoint, failure_reason(reason));
                }
                AlignmentAction::ForwardCancel(checkpoint) => {
                    self.head.on_signal(&mut Signal::CancelCheckpoint(checkpoint))?;
                }
                // Nothing is announced yet, so nothing overtakes or is recorded.
                AlignmentAction::Complete { .. }
                | AlignmentAction::Prioritize(_)
                | AlignmentAction::Record { .. }
                | AlignmentAction::StopRecording { .. }
                | AlignmentAction::DropRecording { .. } => {}
            }
        }
        self.actions = actions;
        Ok(())
    }

    fn take_snapshot(&mut self, barrier: CheckpointBarrier) -> Result<()> {
        self.reporter.probe(TaskStep::Snapshot(barrier.checkpoint));
        let since = self.reporter.monotonic();
        if barrier.options.alignment == BarrierAlignment::Aligned {
            verify_aligned_cut(&self.receivers, barrier.checkpoint)?;
        }
        let mut snapshot = TaskSnapshot::new(barrier);
        self.head.on_signal(&mut Signal::Barrier(&mut snapshot))?;
        self.reporter.froze(since);
        let received = self.receivers.iter().map(ChannelReceiver::received);
        let cuts = received.zip(&self.sent).map(|(received, sent)| ChannelCut {
            received,
            sent: *sent,
            recorded: Vec::new(),
        });
        let cuts = cuts.collect();
        self.reporter.store(snapshot, cuts);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            self.head.on_signal(&mut Signal::Flush)
        } else {
            Ok(())
        }
    }
}

fn handler(alignment: BarrierAlignment, channels: u32) -> Box<dyn BarrierHandler> {
    match alignment {
        BarrierAlignment::AtLeastOnce => Box::new(BarrierTracker::new(channels, EndOfInputRule::StandsIn)),
        _ => Box::new(BarrierAligner::new(channels, EndOfInputRule::StandsIn)),
    }
}

fn failure_reason(reason: DeclineReason) -> FailureReason {
    match reason {
        DeclineReason::Subsumed { .. } => FailureReason::Subsumed,
        DeclineReason::Cancelled => FailureReason::CancelMarker,
        DeclineReason::EndOfInput => FailureReason::TaskEnded,
        _ => FailureReason::Declined,
    }
}

#[cold]
fn unknown(element: &StreamElement<BoxedBatch>) -> Error {
    Error::internal("a channel delivered something that no operator sends")
        .with("element", format!("{element:?}"))
}

impl Future for GateTask {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = self.poll_control(cx) {
            return Poll::Ready(ended);
        }
        let advanced = self.head.poll_advance(cx);
        self.reporter.note(advanced);
        self.poll_process(cx)
    }
}
