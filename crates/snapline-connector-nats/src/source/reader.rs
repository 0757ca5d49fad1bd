//! The half of a reader that is in the task: it makes records of messages.

use super::acknowledgments::Acknowledgments;
use super::decode::{Decode, NatsMessage};
use super::fetch::{AHEAD, Fetch, Fetched};
use super::{Inlet, NatsSplit};
use async_nats::jetstream::consumer::AckPolicy;
use futures::StreamExt;
use futures::channel::mpsc;
use snapline_connector::{ReaderProgress, ReaderStatus, SourceReader, SourceSplit};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Hands out messages of one split at a time.
pub(super) struct NatsReader<T> {
    inlet: Arc<Inlet>,
    decode: Decode<T>,
    /// All that were added, in that order.
    splits: Vec<Reading>,
    current: Option<usize>,
    finished: Vec<usize>,
    done: u64,
}

/// A split that is being read.
struct Reading {
    split: NatsSplit,
    messages: VecDeque<NatsMessage>,
    acknowledgments: Acknowledgments,
    fetching: Option<Fetching>,
    is_paused: bool,
    is_finished: bool,
}

/// A fetch at work. It ends when this is dropped.
struct Fetching {
    fetches: mpsc::Receiver<Result<Fetched>>,
    orders: mpsc::UnboundedSender<(u64, super::acknowledgments::Acknowledged)>,
    /// How many connections have begun.
    connections: u64,
}

impl Reading {
    fn new(split: NatsSplit) -> Self {
        Self {
            is_finished: split.is_finished(),
            split,
            messages: VecDeque::new(),
            acknowledgments: Acknowledgments::new(AckPolicy::All),
            fetching: None,
            is_paused: false,
        }
    }

    fn is_wanted(&self) -> bool {
        !self.is_paused && !self.is_finished
    }

    fn fetching(&mut self, inlet: &Arc<Inlet>) -> Result<&mut Fetching> {
        let fetching = match self.fetching.take() {
            Some(fetching) => fetching,
            None => Fetching::start(inlet, &self.split)?,
        };
        Ok(self.fetching.insert(fetching))
    }

    /// Takes what was fetched until there are messages to hand out, or nothing is there.
    fn poll(&mut self, cx: &mut Context<'_>, inlet: &Arc<Inlet>) -> Poll<Result<()>> {
        while self.messages.is_empty() && !self.is_finished {
            let fetching = self.fetching(inlet)?;
            let Poll::Ready(fetched) = fetching.fetches.poll_next_unpin(cx) else {
                return Poll::Pending;
            };
            let stopped = || Err(Error::cancelled("messages are not fetched any more"));
            match fetched.unwrap_or_else(stopped)? {
                Fetched::Begin(policy) => self.begin(policy),
                Fetched::Messages(messages) => self.add(messages),
                Fetched::End => self.is_finished = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self, policy: AckPolicy) {
        let Some(fetching) = &mut self.fetching else {
            return;
        };
        fetching.connections += 1;
        if fetching.connections == 1 {
            self.acknowledgments = Acknowledgments::new(policy);
        }
        self.acknowledgments.forget_replies();
    }

    /// Keeps messages that were not handed out; the others have come again.
    fn add(&mut self, messages: Vec<NatsMessage>) {
        for message in messages {
            match message.sequence < self.split.next {
                true => self.acknowledgments.renew(message.sequence, message.reply),
                false => self.messages.push_back(message),
            }
        }
    }

    /// Hands out messages. How many were done.
    fn take<T>(
        &mut self,
        batch: &mut Batch<T>,
        limit: usize,
        decode: impl Fn(&[NatsMessage], &mut Batch<T>) -> Result<()>,
    ) -> Result<u64> {
        let before = self.split.next;
        let (messages, _) = self.messages.as_slices();
        let last = self.split.last.unwrap_or(u64::MAX);
        let wanted = messages.partition_point(|message| message.sequence <= last);
        let wanted = wanted.min(limit);
        decode(&messages[..wanted], batch)?;
        for message in self.messages.drain(..wanted) {
            self.split.next = message.sequence + 1;
            self.acknowledgments.add(message.sequence, message.reply);
        }
        let is_behind = self
            .messages
            .front()
            .is_some_and(|message| message.sequence > last);
        self.is_finished = self.split.is_finished() || is_behind;
        Ok(self.split.next - before)
    }
}

impl Fetching {
    fn start(inlet: &Arc<Inlet>, split: &NatsSplit) -> Result<Self> {
        let (sender, fetches) = mpsc::channel(AHEAD);
        let (orders, receiver) = mpsc::unbounded();
        let fetch = Fetch::new(inlet.clone(), split.clone(), sender, receiver);
        inlet.events.start()?.spawn(fetch.run());
        Ok(Self {
            fetches,
            orders,
            connections: 0,
        })
    }
}

impl<T> NatsReader<T> {
    pub(super) fn new(inlet: Arc<Inlet>, decode: Decode<T>) -> Self {
        Self {
            inlet,
            decode,
            splits: Vec::new(),
            current: None,
            finished: Vec::new(),
            done: 0,
        }
    }

    /// The splits in turn, beginning with the one after that of the newest batch.
    fn turns(&self) -> impl Iterator<Item = usize> + use<T> {
        let (count, after) = (self.splits.len(), self.current.map_or(0, |current| current + 1));
        (0..count).map(move |turn| (after + turn) % count)
    }

    /// Hands out messages of the first split that has any. Whether there was one.
    fn take(&mut self, cx: &mut Context<'_>, batch: &mut Batch<T>, limit: usize) -> Result<bool> {
        for index in self.turns() {
            let reading = &mut self.splits[index];
            if !reading.is_wanted() {
                continue;
            }
            let Poll::Ready(polled) = reading.poll(cx, &self.inlet) else {
                continue;
            };
            polled?;
            let (decode, inlet) = (&self.decode, &self.inlet);
            let decode = |messages: &[NatsMessage], batch: &mut Batch<T>| {
                decode(messages, batch, &inlet.stream, &inlet.undecodable)
            };
            self.done += reading.take(batch, limit, decode)?;
            self.current = Some(index);
            if reading.is_finished {
                reading.messages.clear();
                self.finished.push(index);
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn left(&self) -> impl Iterator<Item = &NatsSplit> {
        let left = self.splits.iter().filter(|reading| !reading.is_finished);
        left.map(|reading| &reading.split)
    }
}

impl<T: Send> SourceReader<T, NatsSplit> for NatsReader<T> {
    fn add_splits(&mut self, splits: Vec<NatsSplit>) {
        self.splits.extend(splits.into_iter().map(Reading::new));
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let before = batch.len();
        while self.left().next().is_some() {
            if !self.take(cx, batch, limit)? {
                return Poll::Pending;
            }
            if batch.len() > before {
                return Poll::Ready(Ok(ReaderStatus::More));
            }
        }
        Poll::Ready(Ok(ReaderStatus::EndOfData))
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<NatsSplit>> {
        for reading in &mut self.splits {
            reading
                .acknowledgments
                .snapshot(checkpoint, reading.split.next - 1);
        }
        Ok(self.left().cloned().collect())
    }

    fn on_checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        for reading in &mut self.splits {
            if let Some(acknowledged) = reading.acknowledgments.complete(checkpoint)
                && let Some(fetching) = &reading.fetching
            {
                // A fetch that has failed tells so itself.
                let _ = fetching
                    .orders
                    .unbounded_send((fetching.connections, acknowledged));
            }
        }
        Ok(())
    }

    fn current_split(&self) -> Option<usize> {
        self.current
    }

    fn take_finished(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.finished)
    }

    fn can_pause_splits(&self) -> bool {
        true
    }

    fn pause_splits(&mut self, paused: &[usize]) {
        for (index, reading) in self.splits.iter_mut().enumerate() {
            reading.is_paused = paused.contains(&index);
        }
    }

    fn progress(&self) -> ReaderProgress {
        let is_bounded = self.splits.iter().all(|reading| reading.split.last.is_some());
        let left: u64 = self.left().map(SourceSplit::weight).sum();
        ReaderProgress {
            done: self.done,
            total: is_bounded.then_some(self.done + left),
        }
    }
}
