//! A task that gets its records from other tasks.

mod inputs;
mod snapshot;
mod watermark_valve;

pub(crate) use inputs::{BackEdge, Channel, Inputs};

use super::chain_time::ChainTime;
use super::cost::AlignmentCost;
use super::{BATCHES_PER_TURN, ControlReceiver, Reporter, TaskControl};
use crate::gate::InputGate;
use crate::history::SharedHistory;
use crate::probe::TaskStep;
use futures::StreamExt;
use futures::future::BoxFuture;
use snapline_barrier::{
    AlignmentAction, BarrierHandler, ChannelIndex, ChannelReceiver, ChannelStateRecorder,
};
use snapline_core::{
    BoxedBatch, CheckpointBarrier, Error, Frame, Result, StreamElement, Timestamp, Watermark,
};
use snapline_dataflow::{Alarm, Signal, TaskHead, TimeSignal};
use snapshot::Snapshots;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use watermark_valve::WatermarkValve;

/// Processes what its channels deliver and aligns their barriers.
pub(crate) struct GateTask {
    head: Box<dyn TaskHead>,
    gate: InputGate,
    channels: Vec<Channel>,
    receivers: Vec<ChannelReceiver>,
    handler: Box<dyn BarrierHandler>,
    actions: Vec<AlignmentAction>,
    /// Barriers that were taken out of their queues and are delivered next.
    overtaking: VecDeque<(usize, Frame<BoxedBatch>)>,
    recorder: ChannelStateRecorder<Result<bytes::Bytes>>,
    snapshots: Snapshots,
    cost: AlignmentCost,
    history: SharedHistory,
    /// Until when the handler waits, and what wakes the task then.
    timer: Option<(Timestamp, BoxFuture<'static, ()>)>,
    chain_time: ChainTime,
    /// `None` at the head of a loop: nobody knows whether there are earlier records inside, so event time stands
    /// still there until the loop is over.
    valve: Option<WatermarkValve>,
    told: Vec<TimeSignal>,
    control: ControlReceiver,
    reporter: Reporter,
    /// How many regular channels have not ended, and how many of their senders still have data. Back
    /// edges are not waited for: they end with the task.
    open_inputs: usize,
    with_data: usize,
    is_loop_entry: bool,
    /// Whether event time has come to its end, and the data end when the chain is ready: that may bring about a lot.
    is_ending_data: bool,
    has_ended_data: bool,
    /// Whether it has nothing left to do but to acknowledge what it has snapshotted.
    is_done: bool,
    is_dirty: bool,
}

impl GateTask {
    pub(crate) fn new(
        head: Box<dyn TaskHead>,
        inputs: Inputs,
        history: SharedHistory,
        control: ControlReceiver,
        reporter: Reporter,
    ) -> Self {
        let Inputs {
            gate,
            channels,
            handler,
            is_loop_entry,
        } = inputs;
        let open_inputs = channels.iter().filter(|channel| !channel.is_back_edge()).count();
        let is_loop_head = open_inputs < channels.len();
        let receiver = |channel| ChannelReceiver::new(ChannelIndex(channel), reporter.attempt);
        Self {
            head,
            gate,
            receivers: (0..channels.len() as u32).map(receiver).collect(),
            open_inputs,
            with_data: open_inputs,
            valve: (!is_loop_head).then(|| WatermarkValve::new(open_inputs)),
            told: Vec::new(),
            is_loop_entry,
            channels,
            handler,
            actions: Vec::new(),
            overtaking: VecDeque::new(),
            recorder: ChannelStateRecorder::new(),
            snapshots: Snapshots::default(),
            cost: AlignmentCost::default(),
            history,
            timer: None,
            chain_time: ChainTime::new(),
            is_ending_data: false,
            has_ended_data: false,
            is_done: false,
            control,
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
                    self.cost.on_given_up(checkpoint);
                    self.handler
                        .on_abort(checkpoint, self.reporter.clock.now(), &mut self.actions);
                    self.carry_out()?;
                }
                Some(TaskControl::Complete(checkpoint)) => {
                    self.reporter.probe(TaskStep::Complete(checkpoint));
                    self.reporter.on_complete(checkpoint);
                    self.head.on_signal(&mut Signal::CheckpointComplete(checkpoint))?;
                }
                Some(TaskControl::EndLoop) => self.end_data()?,
                Some(TaskControl::Cancel) | None => return Poll::Ready(Ok(())),
                Some(
                    TaskControl::Trigger(_)
                    | TaskControl::AddSplits(_)
                    | TaskControl::Drain
                    | TaskControl::Finish,
                ) => {
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
            if self.gate.has_announcements() {
                self.hear_announcements(cx)?;
            }
            if self.head.poll_ready(cx)?.is_pending() {
                // Barriers wait neither for room nor for timers that are due: not those that may overtake, nor those
                // that need not.
                self.hear_announcements(cx)?;
                self.take_signals(cx)?;
                return Poll::Pending;
            }
            if std::mem::take(&mut self.is_ending_data) {
                self.finish_data()?;
                if self.is_finished() {
                    return self.poll_end(cx);
                }
            }
            match self.gate.poll_next(cx) {
                Poll::Ready((channel, frame)) => self.on_frame(channel, frame)?,
                Poll::Pending => {
                    self.flush()?;
                    return Poll::Pending;
                }
            }
            if self.is_finished() {
                return self.poll_end(cx);
            }
            self.reporter.note(self.head.poll_advance(cx));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing can come any more. A loop that begins here has to be over, and the logs of its
    /// checkpoints closed.
    fn is_finished(&self) -> bool {
        self.open_inputs == 0
            && !self.is_ending_data
            && (!self.is_loop_entry || self.has_ended_data)
            && self.handler.pending().is_empty()
    }

    /// Ends the outputs, then waits until nothing is left to acknowledge.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !std::mem::replace(&mut self.is_done, true) {
            self.head.on_signal(&mut Signal::EndOfInput)?;
        }
        self.reporter.note(self.head.poll_advance(cx));
        self.reporter.poll_settled(cx).map(Ok)
    }

    /// Takes all announcements there are, and is woken by the next one.
    fn hear_announcements(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut is_news = false;
        while let Poll::Ready((channel, barrier)) = self.gate.poll_announcement(cx) {
            is_news = true;
            let now = self.reporter.clock.now();
            let index = ChannelIndex(channel as u32);
            self.cost.on_barrier(&barrier, now);
            self.handler
                .on_announcement(index, barrier, now, &mut self.actions);
            self.carry_out()?;
        }
        if is_news {
            // A snapshot may have been taken, and the task may be about to sleep.
            self.reporter.note(self.head.poll_advance(cx));
        }
        Ok(())
    }

    /// Takes all that no records stand before. A barrier behind the end of the data waits for what that brings about: who
    /// ends its data before a barrier promises that the checkpoint has all of it.
    fn take_signals(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut is_news = false;
        while !self.is_ending_data
            && let Some((channel, frame)) = self.gate.next_signal()
        {
            is_news = true;
            self.on_frame(channel, frame)?;
        }
        if is_news {
            self.reporter.note(self.head.poll_advance(cx));
        }
        Ok(())
    }

    /// Lets the handler act when its time has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while let Some(deadline) = self.handler.deadline() {
            let now = self.reporter.clock.now();
            if deadline <= now {
                self.timer = None;
                self.handler.on_time(now, &mut self.actions);
                self.carry_out()?;
                // Channels may deliver again.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            let executor = &self.reporter.executor;
            let sleep = || executor.sleep(Duration::from_millis(deadline.millis_since(now)));
            let timer = match self.timer.take() {
                Some((until, timer)) if until == deadline => timer,
                _ => sleep(),
            };
            let (_, timer) = self.timer.insert((deadline, timer));
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.timer = None;
        }
        self.timer = None;
        Ok(())
    }

    fn on_frame(&mut self, channel: usize, frame: Frame<BoxedBatch>) -> Result<()> {
        let index = ChannelIndex(channel as u32);
        match frame.element {
            StreamElement::Batch(mut batch) => {
                let (seq, clock) = (frame.header.seq, frame.clock);
                if let Some(back_edge) = &self.channels[channel].back_edge {
                    batch = back_edge.recall(batch)?;
                }
                self.reporter.probe(TaskStep::Batch { channel });
                self.receivers[channel].on_batch(frame.header)?;
                if let Some(delta) = clock {
                    self.history.on_receive(self.channels[channel].sender, &delta);
                }
                return self.on_batch(channel, seq, batch);
            }
            StreamElement::Barrier { barrier, sent } => {
                self.receivers[channel].on_barrier(barrier.checkpoint, sent)?;
                self.on_barrier(channel, barrier, sent);
            }
            StreamElement::CancelCheckpoint(checkpoint) => {
                self.reporter
                    .probe(TaskStep::CancelCheckpoint { channel, checkpoint });
                self.receivers[channel].on_cancel(checkpoint)?;
                let now = self.reporter.clock.now();
                self.handler.on_cancel(index, checkpoint, now, &mut self.actions);
            }
            StreamElement::Watermark(watermark) => return self.on_watermark(channel, watermark),
            StreamElement::Idle => return self.on_idle(channel),
            StreamElement::Active => return self.on_active(channel),
            StreamElement::EndOfData => self.on_end_of_data(channel)?,
            StreamElement::EndOfInput => {
                self.reporter.probe(TaskStep::EndOfInput { channel });
                self.receivers[channel].on_end_of_input(frame.header)?;
                self.channels[channel].sent = frame.header.seq;
                self.open_inputs -= usize::from(!self.channels[channel].is_back_edge());
                let now = self.reporter.clock.now();
                self.handler.on_end_of_input(index, now, &mut self.actions);
            }
            element => return Err(unknown(&element)),
        }
        self.carry_out()
    }

    #[inline]
    fn on_batch(&mut self, channel: usize, seq: u64, mut batch: BoxedBatch) -> Result<()> {
        if self.has_ended_data {
            return Err(after_the_end());
        }
        if self.cost.is_aligning() {
            self.cost.on_batch(batch.size());
        }
        let index = ChannelIndex(channel as u32);
        self.recorder.on_batch(index, seq, || snapshot::encoded(&batch));
        self.head.on_batch(&mut batch)?;
        self.gate.recycle(channel, batch);
        self.is_dirty = true;
        Ok(())
    }

    /// A barrier was delivered, in its place or ahead of it.
    fn on_barrier(&mut self, channel: usize, barrier: CheckpointBarrier, sent: u64) {
        let checkpoint = barrier.checkpoint;
        self.reporter.probe(TaskStep::Barrier { channel, checkpoint });
        let now = self.reporter.clock.now();
        self.channels[channel].sent = sent;
        self.cost.on_barrier(&barrier, now);
        self.handler
            .on_barrier(ChannelIndex(channel as u32), barrier, now, &mut self.actions);
    }

    fn on_end_of_data(&mut self, channel: usize) -> Result<()> {
        if self.channels[channel].is_back_edge() {
            return Ok(());
        }
        self.with_data -= 1;
        match (self.with_data, self.is_loop_entry) {
            (1.., _) => self.on_idle(channel),
            (0, false) => self.end_data(),
            (0, true) => {
                // There may be records in the loop, and nobody here can know.
                self.reporter.loop_input_ended();
                Ok(())
            }
        }
    }

    /// No record will come any more.
    fn end_data(&mut self) -> Result<()> {
        if self.is_ending_data || self.has_ended_data {
            return Ok(());
        }
        self.is_ending_data = true;
        self.head.on_signal(&mut Signal::Watermark(Watermark::MAX))
    }

    /// The last watermark has brought about all that it does.
    fn finish_data(&mut self) -> Result<()> {
        self.has_ended_data = true;
        self.reporter.probe(TaskStep::EndOfData);
        self.head.on_signal(&mut Signal::EndOfData)?;
        self.reporter.end_of_data();
        Ok(())
    }

    fn on_watermark(&mut self, channel: usize, watermark: Watermark) -> Result<()> {
        let told = self.valve.as_mut();
        self.told
            .extend(told.and_then(|valve| valve.on_watermark(channel, watermark)));
        self.tell()
    }

    fn on_idle(&mut self, channel: usize) -> Result<()> {
        if let Some(valve) = &mut self.valve {
            valve.on_idle(channel, &mut self.told);
        }
        self.tell()
    }

    fn on_active(&mut self, channel: usize) -> Result<()> {
        let told = self.valve.as_mut();
        self.told.extend(told.and_then(|valve| valve.on_active(channel)));
        self.tell()
    }

    /// Tells the chain what has become of its event time.
    fn tell(&mut self) -> Result<()> {
        for told in self.told.drain(..) {
            self.is_dirty = true;
            self.head.on_signal(&mut told.into())?;
        }
        Ok(())
    }

    /// Tells the chain the time. What that brings about is sent at once when there is nothing else to do.
    fn poll_chain_time(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if !self.chain_time.is_heard() || self.has_ended_data || self.head.poll_ready(cx)?.is_pending() {
            return Ok(());
        }
        let was_idle = !std::mem::replace(&mut self.is_dirty, true);
        let head = &mut self.head;
        let tell = |alarm: &mut Alarm| head.on_signal(&mut Signal::ProcessingTime(alarm));
        self.chain_time.poll(cx, &self.reporter, tell)?;
        if was_idle { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            self.head.on_signal(&mut Signal::Flush)
        } else {
            Ok(())
        }
    }
}

#[cold]
fn after_the_end() -> Error {
    Error::invalid(
        "a record came back in a loop that was over: an operator inside emits records at the end of its data; let \
         it emit updates, or put it behind the loop",
    )
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
        if self.is_finished() {
            return self.poll_end(cx);
        }
        let advanced = self.head.poll_advance(cx);
        self.reporter.note(advanced);
        if let Poll::Ready(ended) = self.poll_process(cx) {
            return Poll::Ready(ended);
        }
        self.poll_timer(cx)?;
        self.poll_chain_time(cx)?;
        Poll::Pending
    }
}
