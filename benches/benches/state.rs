//! What a read-modify-write of one value costs, by size of the state: with the live table, in batches and one
//! by one, and with what one would write by hand.
//!
//! All sum by key; hashes that a job has computed before are not part of what is measured.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snapline_benches::{KeyedSums, PlainSums, PrefetchedSums, mix};
use snapline_core::{MaxParallelism, StableHasher};
use snapline_state::{LiveTable, Slot, StateTable};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: [u64; 3] = [1_000, 1_000_000, 10_000_000];

/// As many records as a batch of a job has.
const BATCH: usize = 1_024;

/// Batches of random keys, prepared before they are used.
struct Records {
    keys: Vec<u64>,
    hashes: Vec<u64>,
    next: usize,
}

impl Records {
    /// Each key once, so that a table has them all.
    fn each_once(keys: u64) -> Self {
        Self::of(0..keys)
    }

    /// Some millions of random keys.
    fn random(keys: u64) -> Self {
        Self::of((0..4 << 20).map(|index| mix(index) % keys))
    }

    fn of(keys: impl Iterator<Item = u64>) -> Self {
        let mut hasher = StableHasher::new();
        let keys: Vec<u64> = keys.collect();
        let hashes = keys.iter().map(|key| hasher.hash(key).unwrap()).collect();
        Self {
            keys,
            hashes,
            next: 0,
        }
    }

    fn batches(&self) -> impl Iterator<Item = (&[u64], &[u64])> {
        self.hashes.chunks(BATCH).zip(self.keys.chunks(BATCH))
    }

    /// The next of the full batches, for ever.
    fn batch(&mut self) -> (&[u64], &[u64]) {
        if self.next + BATCH > self.keys.len() {
            self.next = 0;
        }
        let range = self.next..self.next + BATCH;
        self.next = range.end;
        (&self.hashes[range.clone()], &self.keys[range])
    }
}

/// A way to sum by key: takes hashes and keys of a batch, and returns something that depends on each sum.
type Sums = Box<dyn FnMut(&[u64], &[u64]) -> u64>;

fn plain() -> Sums {
    let mut sums = PlainSums::default();
    Box::new(move |_, keys| {
        let mut total = 0_u64;
        sums.add_batch(keys, |_, sum| total = total.wrapping_add(sum));
        total
    })
}

fn prefetched_by_hand() -> Sums {
    let mut sums = PrefetchedSums::default();
    Box::new(move |_, keys| {
        let mut total = 0_u64;
        sums.add_batch(keys, |_, sum| total = total.wrapping_add(sum));
        total
    })
}

/// A table as the backend in memory has it: it notes what changes.
fn table() -> StateTable<u64, u64> {
    let mut table = StateTable::new(MaxParallelism::DEFAULT);
    table.track();
    table
}

#[inline]
fn add_one(slot: Slot<'_, u64>) -> u64 {
    match slot {
        Slot::Occupied(sum) => {
            *sum += 1;
            *sum
        }
        Slot::Vacant(sum) => *sum.insert(1),
    }
}

fn live_in_batches() -> Sums {
    let mut table = table();
    Box::new(move |hashes, keys| {
        let mut total = 0_u64;
        table.update_batch(hashes, keys.iter().copied(), |_, slot| {
            total = total.wrapping_add(add_one(slot));
        });
        total
    })
}

fn live_one_by_one() -> Sums {
    let mut table = table();
    Box::new(move |hashes, keys| {
        let pairs = hashes.iter().zip(keys);
        pairs.fold(0, |total, (hash, key)| {
            total.wrapping_add(table.modify(*hash, key, add_one))
        })
    })
}

fn read_modify_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state");
    group.throughput(Throughput::Elements(BATCH as u64));
    let ways: [(&str, fn() -> Sums); 4] = [
        ("plain hashbrown", plain),
        ("prefetched by hand", prefetched_by_hand),
        ("live table, in batches", live_in_batches),
        ("live table, one by one", live_one_by_one),
    ];
    for keys in KEYS {
        let (all, mut records) = (Records::each_once(keys), Records::random(keys));
        for (name, way) in ways {
            let mut sums = way();
            for (hashes, keys) in all.batches() {
                sums(hashes, keys);
            }
            group.bench_function(BenchmarkId::new(name, keys), |bencher| {
                bencher.iter(|| {
                    let (hashes, keys) = records.batch();
                    black_box(sums(hashes, keys))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, read_modify_write);
criterion_main!(benches);
