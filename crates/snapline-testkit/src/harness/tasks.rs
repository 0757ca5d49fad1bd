//! All chains of a harness, driven one after the other.

use super::chains::{Chains, ChannelId, Exchange, Head, Sent, channels_to};
use super::sleeper::ClockSleeper;
use super::snapshot::HarnessSnapshot;
use snapline_core::{
    BarrierOptions, CheckpointBarrier, CheckpointId, Clock, Error, Result, Timestamp, Watermark,
};
use snapline_dataflow::{Alarm, JobGraph, PortSignal, Signal, TaskCounters, TaskSnapshot};
use snapline_state_memory::MemoryCheckpointStorage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The subtasks of a harness, in an order in which records flow.
pub(super) struct Tasks {
    tasks: BTreeMap<(usize, u32), Task>,
    exchange: Exchange,
    storage: Arc<MemoryCheckpointStorage>,
    counters: Arc<TaskCounters>,
    sleeper: Arc<ClockSleeper>,
    snapshots: u64,
}

struct Task {
    head: Head,
    /// How far the event time of each channel that is neither idle nor at its end has come.
    channels: BTreeMap<ChannelId, Watermark>,
    /// How many channels have not ended.
    open: usize,
    said: Watermark,
    /// Whether the data end when the chain is ready.
    is_ending: bool,
}

impl Tasks {
    pub(super) fn build(
        job: JobGraph,
        storage: Arc<MemoryCheckpointStorage>,
        clock: Arc<dyn Clock>,
        snapshot: Option<&HarnessSnapshot>,
    ) -> Result<Self> {
        let (exchange, counters) = (Exchange::default(), Arc::new(TaskCounters::default()));
        let sleeper = Arc::new(ClockSleeper::new(clock.clone()));
        let chains = Chains {
            job: &job,
            storage: storage.clone(),
            clock,
            sleeper: sleeper.clone(),
            watermarks: Arc::default(),
            counters: counters.clone(),
            snapshot,
            exchange: exchange.clone(),
        };
        let mut tasks = BTreeMap::new();
        for (index, vertex) in job.vertices.iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                let channels = channels_to(&job, index, subtask).into_iter();
                let channels: BTreeMap<_, _> = channels.map(|channel| (channel, Watermark::MIN)).collect();
                let task = Task {
                    head: chains.build(vertex, subtask)?,
                    open: channels.len(),
                    channels,
                    said: Watermark::MIN,
                    is_ending: false,
                };
                tasks.insert((index, subtask), task);
            }
        }
        Ok(Self {
            tasks,
            exchange,
            storage,
            counters,
            sleeper,
            snapshots: 0,
        })
    }

    pub(super) fn late_records(&self) -> u64 {
        self.counters.late_records.load(Ordering::Relaxed)
    }

    /// Lets the source read all that it was fed.
    pub(super) fn read(&mut self) -> Result<()> {
        let cx = &mut Context::from_waker(Waker::noop());
        for task in self.tasks.values_mut() {
            if let Head::Source(source) = &mut task.head {
                while let Poll::Ready(status) = source.poll_batch(cx) {
                    let _ = status?;
                }
            }
        }
        self.deliver()
    }

    /// Hands a signal to the source.
    pub(super) fn signal_source(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        for task in self.tasks.values_mut() {
            if matches!(task.head, Head::Source(_)) {
                task.signal(signal)?;
            }
        }
        self.deliver()
    }

    /// Ends the data of the source.
    pub(super) fn end_source(&mut self) -> Result<()> {
        for task in self.tasks.values_mut() {
            if matches!(task.head, Head::Source(_)) {
                task.end_data()?;
            }
        }
        self.deliver()
    }

    /// Lets all chains do what there is to do at this time, and deliver what they keep back.
    pub(super) fn settle(&mut self, now: Timestamp) -> Result<()> {
        self.sleeper.wake_all();
        self.flush()?;
        for key in self.keys() {
            let mut is_due = true;
            while is_due {
                let mut alarm = Alarm::new(now);
                self.task(key)?.signal(&mut Signal::ProcessingTime(&mut alarm))?;
                self.deliver()?;
                is_due = alarm.next().is_some_and(|next| next <= now);
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        for key in self.keys() {
            self.task(key)?.signal(&mut Signal::Flush)?;
            self.deliver()?;
        }
        Ok(())
    }

    /// Delivers what is on the channels until they are empty.
    fn deliver(&mut self) -> Result<()> {
        let exchange = self.exchange.clone();
        while let Some((channel, sent)) = exchange.next() {
            self.task((channel.vertex, channel.subtask))?
                .take(channel, sent)?;
        }
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Result<HarnessSnapshot> {
        self.snapshots += 1;
        let barrier = CheckpointBarrier {
            checkpoint: CheckpointId(self.snapshots),
            created: Timestamp(0),
            options: BarrierOptions::default(),
        };
        let mut all = HarnessSnapshot::new(self.storage.clone());
        for key in self.keys() {
            let task = self.task(key)?;
            let mut frozen = TaskSnapshot::new(barrier);
            task.signal(&mut Signal::Barrier(&mut frozen))?;
            all.store(frozen, key, || task.advance())?;
            self.deliver()?;
        }
        Ok(all)
    }

    fn keys(&self) -> Vec<(usize, u32)> {
        self.tasks.keys().copied().collect()
    }

    fn task(&mut self, key: (usize, u32)) -> Result<&mut Task> {
        let task = self.tasks.get_mut(&key);
        task.ok_or_else(|| Error::internal("a channel ends at no task"))
    }
}

/// Whether somebody has woken the chain, which only it can do itself here.
#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    /// Hands a signal to the chain, and lets it do what that has brought about.
    fn signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.hand(signal)?;
        self.turn()?;
        match self.is_ending && self.is_ready()? {
            true => self.finish_data(),
            false => Ok(()),
        }
    }

    fn hand(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match &mut self.head {
            Head::Source(head) => head.on_signal(signal),
            Head::Gate(head) => head.on_signal(signal),
        }
    }

    /// No record will come any more.
    fn end_data(&mut self) -> Result<()> {
        self.is_ending = true;
        self.signal(&mut Signal::Watermark(Watermark::MAX))
    }

    fn finish_data(&mut self) -> Result<()> {
        self.is_ending = false;
        self.hand(&mut Signal::EndOfData)?;
        self.turn()
    }

    /// Lets the chain go on until it is ready, or waits for something outside.
    fn turn(&mut self) -> Result<()> {
        let again = Arc::new(Again::default());
        let waker = Waker::from(again.clone());
        let cx = &mut Context::from_waker(&waker);
        while self.poll_ready(cx)?.is_pending() && again.0.swap(false, Ordering::Relaxed) {}
        Ok(())
    }

    fn is_ready(&mut self) -> Result<bool> {
        let ready = self.poll_ready(&mut Context::from_waker(Waker::noop()))?;
        Ok(ready.is_ready())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.head {
            Head::Source(head) => head.poll_ready(cx),
            Head::Gate(head) => head.poll_ready(cx),
        }
    }

    /// Does a little of what a snapshot has left behind.
    fn advance(&mut self) -> Result<()> {
        let cx = &mut Context::from_waker(Waker::noop());
        let advanced = match &mut self.head {
            Head::Source(head) => head.poll_advance(cx)?,
            Head::Gate(head) => head.poll_advance(cx)?,
        };
        let _ = advanced;
        Ok(())
    }

    fn take(&mut self, channel: ChannelId, sent: Sent) -> Result<()> {
        match sent {
            Sent::Batch(mut batch) => match &mut self.head {
                Head::Gate(head) => head.on_batch(&mut batch),
                Head::Source(_) => Err(Error::internal("a channel ends at a source")),
            },
            Sent::Signal(PortSignal::Watermark(watermark)) => {
                let known = self.channels.entry(channel).or_insert(watermark);
                *known = (*known).max(watermark);
                self.tell_watermark()
            }
            Sent::Signal(PortSignal::Idle) => {
                self.channels.remove(&channel);
                match self.channels.is_empty() {
                    true => self.signal(&mut Signal::Idle),
                    false => self.tell_watermark(),
                }
            }
            Sent::Signal(PortSignal::Active) => {
                let was_idle = self.channels.is_empty();
                self.channels.insert(channel, self.said);
                if was_idle {
                    self.signal(&mut Signal::Active)
                } else {
                    Ok(())
                }
            }
            Sent::Signal(PortSignal::EndOfData) => {
                self.open -= 1;
                self.channels.remove(&channel);
                if self.open > 0 {
                    return self.tell_watermark();
                }
                self.end_data()
            }
            Sent::Signal(_) => Ok(()),
        }
    }

    /// Tells the chain how far the slowest channel has come.
    fn tell_watermark(&mut self) -> Result<()> {
        match self.channels.values().min().copied() {
            Some(least) if least > self.said => {
                self.said = least;
                self.signal(&mut Signal::Watermark(least))
            }
            _ => Ok(()),
        }
    }
}
