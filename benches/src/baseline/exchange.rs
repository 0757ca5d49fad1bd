//! Two threads that deal their records out by key, by hand: batches for the other thread, taken back empty.

use crate::exchange::{RecordSize, checked, record};
use crate::expected::Totals;
use crate::random::mix;
use std::hint::black_box;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{scope, yield_now};

/// How large a batch is, in bytes: it stays in the second-level cache together with its neighbours.
const BATCH_BYTES: usize = 16 * 1024;

/// How many full batches wait for the other thread.
const QUEUE: usize = 16;

/// Makes one half of the records in each of two threads, and adds up in each of them those whose key belongs to it.
pub fn two_thread_exchange(records: u64, size: RecordSize) -> Totals {
    match size {
        RecordSize::Bytes8 => exchange::<1>(records),
        RecordSize::Bytes16 => exchange::<2>(records),
        RecordSize::Bytes128 => exchange::<16>(records),
    }
}

type Batch<const WORDS: usize> = Vec<[u64; WORDS]>;

fn exchange<const WORDS: usize>(records: u64) -> Totals {
    let (to_first, from_second) = sync_channel(QUEUE);
    let (to_second, from_first) = sync_channel(QUEUE);
    let half = records / 2;
    scope(|scope| {
        let second = scope.spawn(move || Worker::<WORDS>::new(1, to_first, from_first).run(half..records));
        let first = Worker::<WORDS>::new(0, to_second, from_second).run(0..half);
        first.and(second.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

struct Worker<const WORDS: usize> {
    index: usize,
    to_other: SyncSender<Batch<WORDS>>,
    from_other: Receiver<Batch<WORDS>>,
    /// What has come is used again for what goes.
    empty: Vec<Batch<WORDS>>,
    totals: Totals,
}

impl<const WORDS: usize> Worker<WORDS> {
    const CAPACITY: usize = BATCH_BYTES / size_of::<[u64; WORDS]>();

    fn new(index: usize, to_other: SyncSender<Batch<WORDS>>, from_other: Receiver<Batch<WORDS>>) -> Self {
        Self {
            index,
            to_other,
            from_other,
            empty: Vec::new(),
            totals: Totals::default(),
        }
    }

    fn run(mut self, numbers: Range<u64>) -> Totals {
        let mut batches = [self.empty_batch(), self.empty_batch()];
        for number in numbers {
            let record = record::<WORDS>(number);
            // Not a branch: nobody could predict it.
            let owner = (mix(record[0]) >> 63) as usize;
            let batch = &mut batches[owner];
            batch.push(record);
            if batch.len() == Self::CAPACITY {
                self.hand_over(owner, batch);
            }
        }
        for (owner, batch) in batches.iter_mut().enumerate() {
            self.hand_over(owner, batch);
        }
        self.finish()
    }

    /// Leaves an empty batch behind.
    fn hand_over(&mut self, owner: usize, batch: &mut Batch<WORDS>) {
        if owner == self.index {
            add_up(&mut self.totals, batch);
            return;
        }
        let mut full = std::mem::replace(batch, self.empty_batch());
        while let Err(TrySendError::Full(back)) = self.to_other.try_send(full) {
            full = back;
            if !self.receive() {
                yield_now();
            }
        }
        while self.receive() {}
    }

    fn empty_batch(&mut self) -> Batch<WORDS> {
        self.empty
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(Self::CAPACITY))
    }

    /// Whether something had come.
    fn receive(&mut self) -> bool {
        let Ok(mut batch) = self.from_other.try_recv() else {
            return false;
        };
        add_up(&mut self.totals, &mut batch);
        self.empty.push(batch);
        true
    }

    fn finish(self) -> Totals {
        let mut totals = self.totals;
        drop(self.to_other);
        for mut batch in self.from_other {
            add_up(&mut totals, &mut batch);
        }
        totals
    }
}

fn add_up<const WORDS: usize>(totals: &mut Totals, batch: &mut Batch<WORDS>) {
    black_box(&mut *batch);
    batch.drain(..).for_each(|record| totals.add(checked(&record)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::expect_exchange;

    #[test]
    fn all_records_arrive_whatever_their_size_and_number() {
        for size in [RecordSize::Bytes8, RecordSize::Bytes16, RecordSize::Bytes128] {
            for records in [0, 1, 1000, 300_001] {
                assert_eq!(two_thread_exchange(records, size), expect_exchange(records, size));
            }
        }
    }
}
