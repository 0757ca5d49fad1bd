//! Filling a table with the entries of a snapshot.
//!
//! The low hashes are divided into parts of equal size. Each part finds its entries in the blocks, which
//! are in the order of hashes, and makes its segments as large as they will be before the first insert. The
//! parts share nothing, so several threads work on them.

use super::bucket_order::InBucketOrder;
use super::buckets::Buckets;
use super::phase::Phase;
use super::segment::Segment;
use super::segments::Segments;
use crate::format::block::Entry;
use crate::format::block::stored::StoredEntries;
use snapline_core::{Data, Key, Result, StableHasher, decode};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// With fewer entries than this a thread is not worth starting.
const ENTRIES_PER_THREAD: u64 = if cfg!(test) { 1_000 } else { 50_000 };

/// So many parts for each thread: the threads end at about the same time though some parts are larger.
const PARTS_PER_THREAD: u64 = 8;

/// Inserts all entries, none of whose keys is there, or applies those of a delta, and returns by how many
/// entries the table has grown.
pub(super) fn load<K: Key, V: Data>(
    segments: Segments<K, V>,
    stored: &StoredEntries,
    threads: NonZeroUsize,
) -> (Segments<K, V>, Result<isize>) {
    let own = stored.hashes();
    let threads = (threads.get() as u64).min(stored.count_in(&own) / ENTRIES_PER_THREAD);
    let bits = bits_of(threads, &own, stored.most_parts());
    let parts = divide(segments.into_inner(), bits, &own);
    let (mut all, mut inserted) = (Vec::new(), Ok(0));
    let work = |part: Part<K, V>| match stored.is_delta() {
        true => part.apply(stored),
        false => part.fill(stored),
    };
    for (segments, more) in on_threads(parts, threads, work) {
        all.extend(segments);
        inserted = inserted.and_then(|inserted| Ok(inserted + more?));
    }
    (Segments::of(all), inserted)
}

/// Does some work for each of the parts, on this many threads with that of the caller.
fn on_threads<P: Send, T: Send>(parts: Vec<P>, threads: u64, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    let queue = Mutex::new(parts.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_off = || -> Vec<T> { std::iter::from_fn(next).map(&work).collect() };
    std::thread::scope(|scope| {
        let spawn = |_| {
            let thread = std::thread::Builder::new().name("snapline-restore".to_owned());
            thread.spawn_scoped(scope, work_off).ok()
        };
        // When the system gives no more threads, those that are there do all the work.
        let others: Vec<_> = (1..threads).map_while(spawn).collect();
        let mut done = work_off();
        for other in others {
            let more = other.join();
            done.extend(more.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

/// How many bits of a low hash say to which part it belongs.
fn bits_of(threads: u64, own: &Range<u64>, most: u32) -> u32 {
    if threads <= 1 {
        return 0;
    }
    let wanted = threads * PARTS_PER_THREAD;
    let all = (u128::from(wanted) << 32) / u128::from((own.end - own.start).max(1));
    let all = u64::try_from(all).unwrap_or(u64::MAX).min(most.into());
    all.max(1).ilog2()
}

/// Some of the segments of a table, and the hashes that they are to get.
struct Part<K, V> {
    segments: Vec<Segment<K, V>>,
    hashes: Range<u64>,
}

/// Divides the segments by the top bits of their hashes.
fn divide<K: Key, V: Data>(segments: Vec<Segment<K, V>>, bits: u32, own: &Range<u64>) -> Vec<Part<K, V>> {
    let part = |prefix: u64| {
        let all = prefix << (32 - bits)..(prefix + 1) << (32 - bits);
        Part {
            segments: Vec::new(),
            hashes: all.start.max(own.start)..all.end.min(own.end),
        }
    };
    let mut parts: Vec<_> = (0..1_u64 << bits).map(part).collect();
    let mut rest = segments;
    while let Some(segment) = rest.pop() {
        if segment.depth() < bits {
            rest.extend(segment.halves());
        } else {
            let prefix = u64::from(segment.first_hash()) >> (32 - bits);
            parts[prefix as usize].segments.push(segment);
        }
    }
    parts
}

impl<K: Key, V: Data> Part<K, V> {
    /// Inserts the entries of the part.
    fn fill(self, stored: &StoredEntries) -> (Vec<Segment<K, V>>, Result<isize>) {
        let Self { segments, hashes } = self;
        if hashes.is_empty() {
            return (segments, Ok(0));
        }
        let mut sized = Vec::with_capacity(segments.len());
        for segment in segments {
            let count = stored.count_in(&segment.hashes());
            segment.sized_for(count, &hashes, &mut sized);
        }
        let mut segments = Segments::of(sized);
        let mut hasher = StableHasher::new();
        let mut inserted = 0;
        let mut insert = |hash, entry: Entry<'_>| {
            let (key, value) = (decode(entry.key)?, decode(entry.value)?);
            segments.insert(hash, key, value, Phase::default(), &mut hasher);
            inserted += 1;
            Ok(())
        };
        let mut sorted = InBucketOrder::of_bits_from(Buckets::<K, V>::ORDERED_FROM);
        let outcome = stored
            .for_each_in(&hashes, |hash, entry| sorted.push(hash, entry, &mut insert))
            .and_then(|()| sorted.flush(&mut insert));
        (segments.into_inner(), outcome.map(|()| inserted))
    }

    /// Removes and replaces what a delta says.
    fn apply(self, stored: &StoredEntries) -> (Vec<Segment<K, V>>, Result<isize>) {
        let Self { segments, hashes } = self;
        if hashes.is_empty() {
            return (segments, Ok(0));
        }
        let mut segments = Segments::of(segments);
        let mut hasher = StableHasher::new();
        let mut grown = 0;
        let removed = stored.for_each_removed_in(&hashes, |hash, key| {
            grown -= isize::from(segments.remove(hash, &decode(key)?, &mut hasher));
            Ok(())
        });
        let mut put = |hash, entry: Entry<'_>| {
            let (key, value) = (decode(entry.key)?, decode(entry.value)?);
            grown += isize::from(segments.put(hash, key, value, &mut hasher));
            Ok(())
        };
        let mut sorted = InBucketOrder::of_bits_from(Buckets::<K, V>::ORDERED_FROM);
        let outcome = removed
            .and_then(|()| stored.for_each_in(&hashes, |hash, entry| sorted.push(hash, entry, &mut put)))
            .and_then(|()| sorted.flush(&mut put));
        (segments.into_inner(), outcome.map(|()| grown))
    }
}

#[cfg(test)]
mod tests;
