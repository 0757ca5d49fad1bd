//! A running sum by key, by hand: one access after the other, in batches that prefetch, and both in two threads.

use super::two_threads::deal;
use crate::expected::Totals;
use crate::random::mix;
use hashbrown::HashMap;
use snapline_prefetch::prefetch;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

/// How many records are in flight.
const BATCH: usize = 256;

/// Sums value 1 for `records` records with key `mix(i) % keys` and hands each key with its running
/// sum to `sink`: one map access for each record, as one writes it without a second thought.
pub fn naive_keyed_sum(records: u64, keys: u64, mut sink: impl FnMut(u64, u64)) {
    let mut sums = PlainSums::default();
    for index in 0..records {
        let key = mix(index) % keys;
        sink(key, sums.add_one(key));
    }
}

/// The same in batches: first every slot of a batch is asked for, so that the misses overlap, then
/// every slot is updated. The table is open addressing with linear probing, key beside sum.
pub fn prefetched_keyed_sum(records: u64, keys: u64, mut sink: impl FnMut(u64, u64)) {
    let mut sums = PrefetchedSums::default();
    let mut batch = [0; BATCH];
    let mut next = 0;
    while next < records {
        let len = usize::try_from(records - next).unwrap_or(BATCH).min(BATCH);
        for key in &mut batch[..len] {
            *key = mix(next) % keys;
            next += 1;
        }
        sums.add_batch(&batch[..len], &mut sink);
    }
}

/// The same in two threads, each of which makes one half of the records and sums one half of the keys.
pub fn two_thread_keyed_sum<S: KeyedSums>(records: u64, keys: u64) -> Totals {
    let make = |index| {
        let key = mix(index) % keys;
        // A bit by which no table tells its keys apart.
        ((fold(key) >> 48) as usize & 1, key)
    };
    let [first, second] = deal(records, make, |(sums, totals): &mut (S, Totals), batch| {
        sums.add_batch(batch, |key, sum| {
            black_box(key);
            totals.add(sum);
        });
        batch.clear();
    });
    first.1.and(second.1)
}

/// A table of sums by key.
pub trait KeyedSums: Default + Send {
    /// Adds 1 to the sum of each key and hands the key with its new sum to `sink`.
    fn add_batch(&mut self, keys: &[u64], sink: impl FnMut(u64, u64));
}

/// Sums by key in a plain map.
#[derive(Default)]
pub struct PlainSums(PlainMap<u64>);

/// A map as one takes it where keys are numbers.
pub(crate) type PlainMap<V> = HashMap<u64, V, BuildHasherDefault<FoldHasher>>;

impl KeyedSums for PlainSums {
    #[inline]
    fn add_batch(&mut self, keys: &[u64], mut sink: impl FnMut(u64, u64)) {
        for key in keys {
            sink(*key, self.add_one(*key));
        }
    }
}

impl PlainSums {
    #[inline]
    fn add_one(&mut self, key: u64) -> u64 {
        let sum = self.0.entry(key).or_insert(0);
        *sum += 1;
        *sum
    }
}

/// Sums by key in a table of which what a batch needs is prefetched before it is used.
#[derive(Default)]
pub struct PrefetchedSums(Table);

impl KeyedSums for PrefetchedSums {
    #[inline]
    fn add_batch(&mut self, keys: &[u64], mut sink: impl FnMut(u64, u64)) {
        let table = &mut self.0;
        for keys in keys.chunks(BATCH) {
            table.reserve(keys.len());
            for key in keys {
                let slot = table.home(*key);
                prefetch(slot, || slot.sum);
            }
            for key in keys {
                let sum = table.add_one(*key);
                sink(*key, sum);
            }
        }
    }
}

#[inline]
fn fold(key: u64) -> u64 {
    let wide = u128::from(key ^ 0x2545_F491_4F6C_DD1D) * 0xF39C_C060_5CED_C835;
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// Multiplies to 128 bits and folds.
#[derive(Default)]
pub(crate) struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, key: u64) {
        self.0 = fold(self.0 ^ key);
    }
}

/// A sum of 0 marks an empty slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    sum: u64,
}

struct Table {
    slots: Vec<Slot>,
    used: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            slots: vec![Slot::default(); 2 * BATCH],
            used: 0,
        }
    }
}

impl Table {
    /// Makes room for `more` keys at a load of one half at the most.
    fn reserve(&mut self, more: usize) {
        if (self.used + more) * 2 <= self.slots.len() {
            return;
        }
        let grown = vec![Slot::default(); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, grown) {
            if slot.sum > 0 {
                let at = self.find(slot.key);
                self.slots[at] = slot;
            }
        }
    }

    /// The slot where a key would stand if nothing else did.
    #[inline]
    fn home(&self, key: u64) -> &Slot {
        &self.slots[self.start(key)]
    }

    #[inline]
    fn add_one(&mut self, key: u64) -> u64 {
        let at = self.find(key);
        let slot = &mut self.slots[at];
        self.used += usize::from(slot.sum == 0);
        slot.key = key;
        slot.sum += 1;
        slot.sum
    }

    /// The slot of a key, or the empty one where it goes.
    #[inline]
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.start(key);
        while self.slots[at].sum > 0 && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline]
    fn start(&self, key: u64) -> usize {
        fold(key) as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::expect_keyed_sum;
    use crate::keys::Keys;

    #[test]
    fn all_ways_arrive_at_what_is_expected() {
        for (records, keys) in [(0, 1), (1, 1), (1000, 1), (10_000, 7), (50_000, 20_000)] {
            let (mut naive, mut prefetched) = (Totals::default(), Totals::default());
            naive_keyed_sum(records, keys, |_, sum| naive.add(sum));
            prefetched_keyed_sum(records, keys, |_, sum| prefetched.add(sum));
            let expected = expect_keyed_sum(records, Keys::Uniform { count: keys });
            assert_eq!((naive, prefetched), (expected, naive));
            assert_eq!(two_thread_keyed_sum::<PlainSums>(records, keys), expected);
            assert_eq!(two_thread_keyed_sum::<PrefetchedSums>(records, keys), expected);
        }
    }
}
