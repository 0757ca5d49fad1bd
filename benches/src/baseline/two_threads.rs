//! Two threads, each of which owns one half of the keys: batches for the other thread, taken back empty.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{scope, yield_now};

/// How large a batch is, in bytes: it stays in the second-level cache together with its neighbours.
pub(super) const BATCH_BYTES: usize = 16 * 1024;

/// How many full batches wait for the other thread.
const QUEUE: usize = 16;

/// Does work in two threads, each of which is told which one it is.
pub(super) fn in_two_threads<B: Send, T: Send>(work: impl Fn(usize, Peer<B>) -> T + Sync) -> [T; 2] {
    let (to_first, from_second) = sync_channel(QUEUE);
    let (to_second, from_first) = sync_channel(QUEUE);
    let work = &work;
    scope(|scope| {
        let second = scope.spawn(move || work(1, Peer::new(to_first, from_first)));
        let first = work(0, Peer::new(to_second, from_second));
        [first, second.join().unwrap_or_else(|panic| resume_unwind(panic))]
    })
}

/// Makes one half of the records in each of two threads, and takes in each of them those that belong to it. A record is made
/// with the thread that it belongs to. `take` empties its batch.
pub(super) fn deal<R: Send, S: Default + Send>(
    records: u64,
    make: impl Fn(u64) -> (usize, R) + Sync,
    take: impl Fn(&mut S, &mut Vec<R>) + Sync,
) -> [S; 2] {
    in_two_threads(|index, mut peer: Peer<Vec<R>>| {
        let capacity = BATCH_BYTES / size_of::<R>();
        let mut state = S::default();
        let mut batches = [Vec::with_capacity(capacity), Vec::with_capacity(capacity)];
        for number in half(index, records) {
            let (owner, record) = make(number);
            // Not a branch: nobody could predict it.
            let batch = &mut batches[owner];
            batch.push(record);
            if batch.len() < capacity {
                continue;
            }
            match owner == index {
                true => take(&mut state, batch),
                false => peer.hand_over(batch, |batch| take(&mut state, batch)),
            }
        }
        take(&mut state, &mut batches[index]);
        peer.hand_over(&mut batches[1 - index], |batch| take(&mut state, batch));
        peer.finish(|batch| take(&mut state, batch));
        state
    })
}

fn half(index: usize, records: u64) -> Range<u64> {
    [0..records / 2, records / 2..records][index].clone()
}

/// The other thread.
pub(super) struct Peer<B> {
    sender: SyncSender<B>,
    receiver: Receiver<B>,
    /// What has come is used again for what goes.
    empty: Vec<B>,
}

impl<B> Peer<B> {
    fn new(sender: SyncSender<B>, receiver: Receiver<B>) -> Self {
        Self {
            sender,
            receiver,
            empty: Vec::new(),
        }
    }

    /// Leaves an empty batch behind, and hands what has come meanwhile to `take`, which empties it.
    pub(super) fn hand_over(&mut self, batch: &mut B, mut take: impl FnMut(&mut B))
    where
        B: Default,
    {
        let mut full = std::mem::replace(batch, self.empty.pop().unwrap_or_default());
        while let Err(TrySendError::Full(back)) = self.sender.try_send(full) {
            full = back;
            if !self.receive(&mut take) {
                yield_now();
            }
        }
        while self.receive(&mut take) {}
    }

    /// Whether something had come.
    fn receive(&mut self, take: &mut impl FnMut(&mut B)) -> bool {
        let Ok(mut batch) = self.receiver.try_recv() else {
            return false;
        };
        take(&mut batch);
        self.empty.push(batch);
        true
    }

    /// Takes all that is still to come.
    pub(super) fn finish(self, mut take: impl FnMut(&mut B)) {
        drop(self.sender);
        for mut batch in self.receiver {
            take(&mut batch);
        }
    }
}
