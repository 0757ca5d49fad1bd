//! Entries as they were before they changed.

use super::{Kept, Pool, Run};
use crate::table::buckets::Full;
use snapline_core::{Data, Key, Result};

/// So many shares of the low hashes, each with entries of its own: few enough that the ends of all stay in the cache
/// while entries come in no order, and so many that they can be written with the entries beside which they belong.
const SHARES: u64 = 256;

/// How many low hashes a share has.
const HASHES: u64 = (1 << 32) / SHARES;

/// How many chunks are kept for later snapshots: four megabytes.
const SPARE_CHUNKS: usize = 4096;

/// The entries that a running snapshot has got early, by the hashes of their keys.
///
/// They lie in chunks of one size, which never grow and are used again.
#[derive(Debug)]
pub(in crate::table) struct BeforeImages<K, V> {
    shares: Vec<Share<K, V>>,
    /// The first share that was not handed out.
    next: u64,
    spare: Pool<Kept<K, V>>,
}

/// Entries with neighbouring hashes.
#[derive(Debug)]
struct Share<K, V> {
    /// The chunk that the next entry comes to, if it has room.
    open: Kept<K, V>,
    full: Vec<Kept<K, V>>,
}

impl<K: Key, V: Data> BeforeImages<K, V> {
    /// None, until a snapshot [begins](Self::begin).
    pub(in crate::table) const fn new() -> Self {
        Self {
            shares: Vec::new(),
            next: 0,
            spare: Pool::of(SPARE_CHUNKS),
        }
    }

    /// A snapshot begins; it has got nothing yet.
    pub(in crate::table) fn begin(&mut self) {
        self.clear();
        self.spare.begin();
        self.shares.resize_with(SHARES as usize, Share::new);
        self.next = 0;
    }

    /// Forgets all entries: what is left when a snapshot is given up.
    pub(in crate::table) fn clear(&mut self) {
        let left = (self.next as usize).min(self.shares.len());
        for share in &mut self.shares[left..] {
            while let Some(chunk) = share.take() {
                give_back(chunk, &mut self.spare);
            }
        }
    }

    /// Keeps an entry.
    #[inline]
    pub(in crate::table) fn keep(&mut self, hash: u64, full: &Full<K, V>) -> Result<()> {
        let share = &mut self.shares[(u64::from(hash as u32) / HASHES) as usize];
        if !share.open.has_room_in_chunk() {
            share.open_next(&mut self.spare);
        }
        share.open.push(full)
    }

    /// Moves a chunk of the next share to a run, if none comes to it any more because all of its hashes are below
    /// this one; whether there was such a share.
    pub(in crate::table) fn move_chunk(&mut self, drained_to: u64, run: &mut Run<K, V>) -> bool {
        let hashes = self.next * HASHES..(self.next + 1) * HASHES;
        if self.next == SHARES || hashes.end > drained_to {
            return false;
        }
        match self.shares[self.next as usize].take() {
            Some(chunk) => {
                run.append(&chunk, &hashes);
                give_back(chunk, &mut self.spare);
            }
            None => self.next += 1,
        }
        true
    }
}

impl<K: Key, V: Data> Share<K, V> {
    fn new() -> Self {
        Self {
            open: Kept::default(),
            full: Vec::new(),
        }
    }

    #[cold]
    fn open_next(&mut self, spare: &mut Pool<Kept<K, V>>) {
        let next = spare.take().unwrap_or_else(Kept::chunk);
        let full = std::mem::replace(&mut self.open, next);
        if !full.is_empty() {
            self.full.push(full);
        }
    }

    /// A chunk with entries, if there is one.
    fn take(&mut self) -> Option<Kept<K, V>> {
        let open = || (!self.open.is_empty()).then(|| std::mem::take(&mut self.open));
        self.full.pop().or_else(open)
    }
}

fn give_back<K: Key, V: Data>(mut chunk: Kept<K, V>, spare: &mut Pool<Kept<K, V>>) {
    chunk.clear();
    if chunk.is_of_chunk_size() {
        spare.give_back(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_handed_out_once_and_only_when_all_of_its_hashes_are_drained() {
        let mut before = BeforeImages::new();
        before.begin();
        for hash in [0, HASHES - 1, HASHES, 3 * HASHES, u64::from(u32::MAX)] {
            let full = Full {
                key: hash,
                value: 1_u8,
            };
            before.keep(hash | 7 << 40, &full).unwrap();
        }
        let mut run = Run::with(Kept::default());
        let mut move_up_to = |hash| {
            while before.move_chunk(hash, &mut run) {}
            (run.kept.len(), run.hashes())
        };
        assert_eq!(move_up_to(HASHES - 1), (0, None));
        let first = (0, (HASHES - 1) as u32);
        assert_eq!(move_up_to(HASHES), (2, Some(first)));
        assert_eq!(move_up_to(2 * HASHES - 1), (2, Some(first)));
        assert_eq!(move_up_to(3 * HASHES).0, 3);
        assert_eq!(move_up_to(1 << 32), (5, Some((0, u32::MAX))));
        assert_eq!(move_up_to(1 << 32).0, 5);
    }

    #[test]
    fn chunks_come_back_empty_and_the_next_snapshot_allocates_none() {
        let mut before = BeforeImages::new();
        let keep = |before: &mut BeforeImages<u64, u8>, entries: u64| {
            before.begin();
            for key in 0..entries {
                before.keep(key % HASHES, &Full { key, value: 1 }).unwrap();
            }
        };
        keep(&mut before, 10_000);
        assert_eq!(before.spare.len(), 0);
        let mut run = Run::with(Kept::default());
        while before.move_chunk(1 << 32, &mut run) {}
        let chunks = before.spare.len();
        assert_eq!((run.kept.len(), chunks > 100), (10_000, true));
        keep(&mut before, 10_000);
        assert_eq!(before.spare.len(), 0);
        before.clear();
        assert_eq!(before.spare.len(), chunks);
        keep(&mut before, 1);
        let mut run = Run::with(Kept::default());
        while before.move_chunk(1 << 32, &mut run) {}
        assert_eq!(run.kept.len(), 1);
    }
}
