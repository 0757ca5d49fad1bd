//! A task that begins with a source.

use super::chain_time::ChainTime;
use super::{BATCHES_PER_TURN, Completed, ControlReceiver, Reporter, TaskControl};
use crate::history::SharedHistory;
use crate::probe::TaskStep;
use futures::StreamExt;
use snapline_barrier::TaskCut;
use snapline_connector::ReaderStatus;
use snapline_coordinator::SubtaskStatistics;
use snapline_core::{CheckpointBarrier, CheckpointKind, Result, Watermark};
use snapline_dataflow::{Alarm, Signal, SourceHead, TaskSnapshot};
use snapline_state::ChannelState;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Reads a source and puts barriers between its batches.
pub(crate) struct SourceTask {
    head: Box<dyn SourceHead>,
    control: ControlReceiver,
    reporter: Reporter,
    history: SharedHistory,
    /// Whether nothing more is read, and the data end when the chain is ready: it may wait for answers.
    is_ending_data: bool,
    has_ended_data: bool,
    /// Whether it has nothing left to do but to acknowledge what it has snapshotted.
    is_done: bool,
    /// Whether the job stops with the newest checkpoint, so that nothing more may be read.
    is_suspended: bool,
    /// Whether something may wait in the chain to be flushed.
    is_dirty: bool,
    chain_time: ChainTime,
}

impl SourceTask {
    pub(crate) fn new(
        head: Box<dyn SourceHead>,
        history: SharedHistory,
        control: ControlReceiver,
        reporter: Reporter,
    ) -> Self {
        Self {
            head,
            control,
            reporter,
            history,
            is_ending_data: false,
            has_ended_data: false,
            is_done: false,
            is_suspended: false,
            is_dirty: false,
            chain_time: ChainTime::new(),
        }
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Poll::Ready(message) = self.control.poll_next_unpin(cx) {
            match message {
                // The end of its outputs stands in for the barrier.
                Some(TaskControl::Trigger(_)) if self.is_done => {}
                Some(TaskControl::Trigger(barrier)) => self.take_snapshot(barrier)?,
                Some(TaskControl::AddSplits(splits)) => self.head.add_splits(&splits)?,
                Some(TaskControl::Abort(checkpoint)) => {
                    self.reporter.probe(TaskStep::Abort(checkpoint));
                    self.reporter.on_abort(checkpoint);
                }
                Some(TaskControl::Complete(checkpoint)) => {
                    self.reporter.probe(TaskStep::Complete(checkpoint));
                    self.reporter.on_complete(checkpoint);
                    self.head.on_signal(&mut Signal::CheckpointComplete(checkpoint))?;
                }
                Some(TaskControl::Drain) if self.is_done => {}
                Some(TaskControl::Drain) => self.end_data()?,
                Some(TaskControl::Finish) => {
                    if !std::mem::replace(&mut self.is_done, true) {
                        self.head.on_signal(&mut Signal::EndOfInput)?;
                    }
                }
                // A source is in no loop.
                Some(TaskControl::EndLoop) => {}
                Some(TaskControl::Cancel) | None => return Poll::Ready(Ok(())),
            }
        }
        Poll::Pending
    }

    fn take_snapshot(&mut self, barrier: CheckpointBarrier) -> Result<()> {
        self.reporter.probe(TaskStep::Snapshot(barrier.checkpoint));
        self.is_suspended |= barrier.options.kind == CheckpointKind::Suspend;
        let since = self.reporter.monotonic();
        let delay = self.reporter.clock.now().millis_since(barrier.created);
        let mut snapshot = TaskSnapshot::new(barrier);
        self.head.on_signal(&mut Signal::Barrier(&mut snapshot))?;
        let frozen = self.reporter.froze(since);
        let cut = TaskCut {
            clock: self.history.on_snapshot(),
            channels: Vec::new(),
        };
        let statistics = SubtaskStatistics {
            start_delay: Duration::from_millis(delay),
            sync: frozen.saturating_sub(since),
            ..SubtaskStatistics::default()
        };
        let completed = Completed {
            cut,
            channels: Ok(ChannelState::default()),
            statistics,
            frozen,
        };
        self.reporter.store(snapshot, completed);
        Ok(())
    }

    /// Reads until there is nothing to read, no room to write, or it is the turn of others.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<()> {
        for _ in 0..BATCHES_PER_TURN {
            // The chain is asked even when there is nothing to read: it may have failed.
            let is_ready = self.head.poll_ready(cx)?.is_ready();
            if self.is_suspended || !is_ready {
                return Ok(());
            }
            if std::mem::take(&mut self.is_ending_data) {
                self.finish_data()?;
            }
            if self.has_ended_data {
                return Ok(());
            }
            match self.head.poll_batch(cx)? {
                Poll::Ready(ReaderStatus::More) => {
                    self.reporter.probe(TaskStep::Read);
                    self.is_dirty = true;
                }
                Poll::Ready(ReaderStatus::EndOfData) => self.end_data()?,
                Poll::Pending => return self.flush(),
            }
            self.reporter.note(self.head.poll_advance(cx));
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn has_read_all(&self) -> bool {
        self.is_ending_data || self.has_ended_data
    }

    /// Nothing more is read.
    fn end_data(&mut self) -> Result<()> {
        if self.has_read_all() {
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

    /// Tells the chain the time. What that brings about is sent at once when there is nothing else to do.
    fn poll_chain_time(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let has_stopped = self.has_read_all() || self.is_suspended;
        if !self.chain_time.is_heard() || has_stopped || self.head.poll_ready(cx)?.is_pending() {
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

impl Future for SourceTask {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = self.poll_control(cx) {
            return Poll::Ready(ended);
        }
        let advanced = self.head.poll_advance(cx);
        self.reporter.note(advanced);
        if self.is_done {
            return self.reporter.poll_settled(cx).map(Ok);
        }
        self.poll_read(cx)?;
        self.poll_chain_time(cx)?;
        Poll::Pending
    }
}
