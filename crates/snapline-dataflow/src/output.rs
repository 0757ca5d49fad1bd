//! The end of a chain: records leave for other tasks.

mod by_key;
pub(crate) mod custom;
mod partitioning;

pub use partitioning::Partitioning;

use crate::factory::OutputSettings;
use crate::link::{Link, Next, Signal};
use by_key::ByKey;
use custom::Partitioner;
use snapline_core::{Batch, BoxedBatch, CheckpointBarrier, CheckpointId, Data, Error, Result, Watermark};
use std::task::{Context, Poll};

/// The channels from one task to all subtasks of a next one.
///
/// # Contract
/// * Sending never waits: a task that is not [ready](OutputPort::poll_ready) may overshoot by what
///   one batch of its input becomes.
/// * What is sent on a channel arrives in order.
pub trait OutputPort: Send {
    /// How many channels there are.
    fn channels(&self) -> usize;

    /// Sends a batch and gives back an empty one of the same type, if there is one to be used again.
    fn send_batch(&mut self, channel: usize, batch: BoxedBatch) -> Option<BoxedBatch>;

    /// Sends this to all channels.
    fn send_to_all(&mut self, message: PortSignal);

    /// Ready when every channel has room.
    ///
    /// # Errors
    /// The receiver is gone.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// What is sent to all channels of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a port must know every signal")]
pub enum PortSignal {
    /// The barrier of a checkpoint.
    Barrier(CheckpointBarrier),
    /// Instead of the barrier of a checkpoint.
    CancelCheckpoint(CheckpointId),
    /// Event time has advanced, not to its end: that is told by the end of the data.
    Watermark(Watermark),
    /// Event time does not wait for these channels.
    Idle,
    /// Event time waits for these channels again.
    Active,
    /// No more records will come.
    EndOfData,
    /// Nothing will come any more.
    EndOfInput,
}

/// Deals records out to the channels of a port.
pub(crate) struct Output<T> {
    port: Box<dyn OutputPort>,
    dealer: Dealer<T>,
    #[expect(clippy::vec_box, reason = "a full buffer is sent in its box")]
    buffers: Vec<Box<Batch<T>>>,
    batch_records: usize,
    /// A buffer with so many records leaves.
    full_at: usize,
    /// A buffer with fewer leaves after so many batches.
    oldest: u32,
    /// Whether the buffers have a column of timestamps.
    has_timestamps: bool,
    /// A watermark that goes out when everything before it has.
    watermark: Option<Watermark>,
    /// How many watermarks came since one went out.
    unsent: u32,
    /// How many batches came since everything was sent.
    age: u32,
}

/// All buffers of an output together have room for so many batches, where that leaves enough for each: with many channels
/// they would take more memory than the state.
const BATCHES: usize = 8;
/// Fewer records than this are not worth a frame of their own.
const LEAST_RECORDS: usize = 64;

/// How many records a buffer has when it leaves, and after how many batches it does with fewer: so many as it takes to
/// fill all of them, or a few.
fn limits(batch_records: usize, channels: usize) -> (usize, u32) {
    let share = BATCHES * batch_records / channels.max(1);
    let full_at = share.clamp(LEAST_RECORDS.min(batch_records), batch_records);
    let to_fill_all = (full_at * channels).div_ceil(batch_records.max(1));
    (full_at, to_fill_all.max(BATCHES) as u32)
}

/// Chooses the channel of a record.
enum Dealer<T> {
    /// All to the first.
    First,
    InTurn {
        next: usize,
    },
    /// By chance: the state of a splitmix64 generator (Steele, Lea & Flood 2014).
    Random(u64),
    Hash(ByKey),
    Custom(Partitioner<T>),
    Broadcast,
}

impl<T: Data> Output<T> {
    pub(crate) fn new(settings: OutputSettings, port: Box<dyn OutputPort>) -> Self {
        let max_parallelism = settings.max_parallelism;
        let dealer = match settings.partitioning {
            Partitioning::Rebalance | Partitioning::Rescale => Dealer::InTurn { next: 0 },
            Partitioning::Shuffle => Dealer::Random(settings.seed),
            Partitioning::Broadcast => Dealer::Broadcast,
            Partitioning::Hash => Dealer::Hash(ByKey::new(max_parallelism, port.channels())),
            Partitioning::Unspecified
            | Partitioning::Forward
            | Partitioning::Global
            | Partitioning::Custom => Dealer::First,
        };
        Self::dealt_by(dealer, port, settings.batch_records)
    }

    /// Deals records out by a function of the program.
    pub(crate) fn custom(
        partitioner: Partitioner<T>,
        port: Box<dyn OutputPort>,
        batch_records: usize,
    ) -> Self {
        Self::dealt_by(Dealer::Custom(partitioner), port, batch_records)
    }

    fn dealt_by(dealer: Dealer<T>, port: Box<dyn OutputPort>, batch_records: usize) -> Self {
        let (full_at, oldest) = limits(batch_records, port.channels());
        Self {
            buffers: (0..port.channels()).map(|_| Box::default()).collect(),
            port,
            dealer,
            batch_records,
            full_at,
            oldest,
            has_timestamps: false,
            watermark: None,
            unsent: 0,
            age: 0,
        }
    }

    /// Some records at a time, so that a buffer leaves when it might have no room for the next ones: it never grows, unless
    /// there are many.
    fn deal_by_key(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let Dealer::Hash(dealer) = &mut self.dealer else {
            return Ok(());
        };
        let Some(hashes) = &batch.hashes else {
            return Err(Error::internal(
                "records without key hashes reached a keyed exchange",
            ));
        };
        let mut timestamps = batch.timestamps.iter().flatten().copied();
        let mut records = batch.records.drain(..);
        let at_once = match self.buffers.len() {
            ..=BATCHES => self.batch_records.div_ceil(4),
            _ => self.batch_records,
        };
        let full_at = self.full_at.min(self.batch_records - at_once + 1);
        for hashes in hashes.chunks(at_once.max(1)) {
            dealer.deal(hashes, records.by_ref(), timestamps.by_ref(), &mut self.buffers);
            for (channel, buffer) in self.buffers.iter_mut().enumerate() {
                if buffer.records.len() >= full_at {
                    send(&mut *self.port, channel, buffer, self.full_at);
                }
            }
        }
        Ok(())
    }

    /// Deals records out in a way that does not look at keys.
    fn deal_each(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let count = self.buffers.len();
        match &mut self.dealer {
            Dealer::InTurn { next } => {
                let mut turn = *next;
                self.deal(batch, |_| {
                    let channel = turn;
                    turn = if channel + 1 == count { 0 } else { channel + 1 };
                    Ok(channel)
                })?;
                self.dealer = Dealer::InTurn { next: turn };
            }
            Dealer::Random(state) => {
                let mut drawn = *state;
                self.deal(batch, |_| Ok(below(count, &mut drawn)))?;
                self.dealer = Dealer::Random(drawn);
            }
            Dealer::Custom(partitioner) => {
                let partitioner = partitioner.clone();
                self.deal(batch, |record| {
                    let channel = partitioner(record, count as u32);
                    let is_there = (channel as usize) < count;
                    is_there
                        .then_some(channel as usize)
                        .ok_or_else(|| no_such(channel, count))
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn deal(&mut self, batch: &mut Batch<T>, mut channel_of: impl FnMut(&T) -> Result<usize>) -> Result<()> {
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            let channel = channel_of(&record)?;
            let buffer = &mut self.buffers[channel];
            if let Some(column) = &mut buffer.timestamps {
                column.extend(timestamps.next());
            }
            buffer.records.push(record);
            if buffer.records.len() >= self.full_at {
                send(&mut *self.port, channel, buffer, self.full_at);
            }
        }
        Ok(())
    }

    fn copy_to_all(&mut self, batch: &Batch<T>) {
        for (channel, buffer) in self.buffers.iter_mut().enumerate() {
            append(buffer, batch);
            if buffer.records.len() >= self.full_at {
                send(&mut *self.port, channel, buffer, self.full_at);
            }
        }
    }

    /// Keeps a watermark until what waits before it has gone, but not for long: where nothing waits it goes at once, or
    /// with the next ones where there are so many channels that this would cost more than records do; else it takes along what
    /// waits when as many have come as a buffer waits for batches. So event time goes on when nearly all records are filtered out.
    fn on_watermark(&mut self, watermark: Watermark) {
        if watermark == Watermark::MAX {
            self.watermark = None;
            return;
        }
        self.watermark = Some(watermark);
        self.unsent += 1;
        let patience = match self.buffers.iter().all(|buffer| buffer.is_empty()) {
            true => self.buffers.len().div_ceil(BATCHES) as u32,
            false => self.oldest,
        };
        if self.unsent >= patience {
            self.flush();
        }
    }

    /// Sends what is buffered, then the watermark that stands behind it.
    fn flush(&mut self) {
        self.age = 0;
        self.unsent = 0;
        for (channel, buffer) in self.buffers.iter_mut().enumerate() {
            if !buffer.is_empty() {
                send(&mut *self.port, channel, buffer, self.full_at);
            }
        }
        if let Some(watermark) = self.watermark.take() {
            self.port.send_to_all(PortSignal::Watermark(watermark));
        }
    }

    /// The buffers get the columns of a batch. What waits there with others is sent first.
    fn agree_on_columns(&mut self, batch: &Batch<T>) {
        if batch.timestamps.is_some() == self.has_timestamps {
            return;
        }
        self.flush();
        self.has_timestamps = batch.timestamps.is_some();
        for buffer in &mut self.buffers {
            buffer.timestamps = self.has_timestamps.then(Vec::new);
        }
    }
}

/// The next number that is drawn, below this one.
fn below(count: usize, state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * count as u128) >> 64) as usize
}

#[cold]
fn no_such(channel: u32, count: usize) -> Error {
    Error::invalid("a partitioner has chosen a subtask that the next operator does not have")
        .with("chosen", channel)
        .with("subtasks", count)
}

/// Copies the records of a batch, and the columns beside them, to the end of another.
fn append<T: Data>(to: &mut Batch<T>, batch: &Batch<T>) {
    to.records.extend_from_slice(&batch.records);
    if let (Some(column), Some(timestamps)) = (&mut to.timestamps, &batch.timestamps) {
        column.extend_from_slice(timestamps);
    }
    if let Some(hashes) = &batch.hashes {
        to.hashes.get_or_insert_default().extend_from_slice(hashes);
    }
}

fn send<T: Data>(port: &mut dyn OutputPort, channel: usize, buffer: &mut Box<Batch<T>>, capacity: usize) {
    let full = std::mem::take(buffer);
    let (has_timestamps, has_hashes) = (full.timestamps.is_some(), full.hashes.is_some());
    let recycled = port
        .send_batch(channel, full)
        .and_then(|batch| batch.into_any().downcast().ok());
    *buffer = recycled.unwrap_or_else(|| {
        let hashes = has_hashes.then(|| Vec::with_capacity(capacity));
        let batch = Batch::with_capacity(capacity);
        Box::new(Batch { hashes, ..batch })
    });
    if buffer.timestamps.is_some() != has_timestamps {
        buffer.timestamps = has_timestamps.then(|| Vec::with_capacity(capacity));
    }
}

impl<T: Data> Link<T> for Output<T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.agree_on_columns(batch);
        match self.dealer {
            Dealer::Hash(_) => self.deal_by_key(batch)?,
            Dealer::InTurn { .. } | Dealer::Random(_) | Dealer::Custom(_) => self.deal_each(batch)?,
            Dealer::Broadcast => self.copy_to_all(batch),
            Dealer::First => {
                std::mem::swap(&mut *self.buffers[0], batch);
                self.flush();
            }
        }
        batch.clear();
        self.age += 1;
        if self.age >= self.oldest {
            self.flush();
        }
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        let message = match signal {
            Signal::CheckpointComplete(_) | Signal::ProcessingTime(_) => return Ok(()),
            Signal::Watermark(watermark) => {
                self.on_watermark(*watermark);
                return Ok(());
            }
            Signal::Flush => {
                self.flush();
                return Ok(());
            }
            Signal::Idle => PortSignal::Idle,
            Signal::Active => PortSignal::Active,
            Signal::Barrier(snapshot) => PortSignal::Barrier(snapshot.barrier),
            Signal::CancelCheckpoint(checkpoint) => PortSignal::CancelCheckpoint(*checkpoint),
            Signal::EndOfData => PortSignal::EndOfData,
            Signal::EndOfInput => PortSignal::EndOfInput,
        };
        self.flush();
        self.port.send_to_all(message);
        Ok(())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.port.poll_ready(cx)
    }

    fn poll_advance(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Hands everything to several links.
pub(crate) struct Tee<T> {
    nexts: Vec<Next<T>>,
    copy: Batch<T>,
}

impl<T: Data> Tee<T> {
    pub(crate) fn new(nexts: Vec<Next<T>>) -> Self {
        Self {
            nexts,
            copy: Batch::new(),
        }
    }
}

impl<T: Data> Link<T> for Tee<T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        if let Some((last, others)) = self.nexts.split_last_mut() {
            for next in others {
                self.copy.clone_from(batch);
                next.on_batch(&mut self.copy)?;
            }
            last.on_batch(batch)?;
        }
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.nexts.iter_mut().try_for_each(|next| next.on_signal(signal))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_all(&mut self.nexts, |next| next.poll_ready(cx))
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_all(&mut self.nexts, |next| next.poll_advance(cx))
    }
}

/// Polls all of these links; `Ready` when all of them are.
pub(crate) fn poll_all<L>(
    nexts: &mut [L],
    mut poll: impl FnMut(&mut L) -> Poll<Result<()>>,
) -> Poll<Result<()>> {
    let mut all = Poll::Ready(Ok(()));
    for next in nexts {
        match poll(next) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => all = Poll::Pending,
        }
    }
    all
}

#[cfg(test)]
mod tests;
