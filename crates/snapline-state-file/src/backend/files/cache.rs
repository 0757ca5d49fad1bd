//! Blocks that were read more than once, for all subtasks of a process.
//!
//! A block has one place where it may be kept. It takes it when it comes twice while nobody else asks for the place: so what is
//! read once, as most blocks are when keys are drawn at random, pushes nothing out and is never copied.

use std::sync::{Mutex, PoisonError};

/// A block: the number of its file in this process, and where it is.
pub(super) type BlockId = (u64, u64);

/// Blocks in memory.
#[derive(Debug)]
pub(in crate::backend) struct BlockCache {
    shards: Vec<Mutex<Vec<Place>>>,
    places: u64,
}

#[derive(Debug, Default)]
struct Place {
    kept: Option<BlockId>,
    /// The block; the next one that is kept takes its room.
    bytes: Vec<u8>,
    candidate: Option<BlockId>,
}

const SHARDS: usize = 16;

/// What a block takes that fits: those of entries that are larger than a block are not kept.
pub(super) const MOST_BYTES: usize = 5 * 1024;

impl BlockCache {
    pub(in crate::backend) fn new(bytes: u64) -> Self {
        let in_shard = bytes as usize / (MOST_BYTES + size_of::<Place>()) / SHARDS;
        let places = || (0..in_shard).map(|_| Place::default()).collect();
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(places())).collect(),
            places: in_shard as u64,
        }
    }

    /// Looks into a block, if it is kept.
    pub(super) fn look_into<R>(&self, id: BlockId, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.at(id, |place| (place.kept == Some(id)).then(|| look(&place.bytes)))?
    }

    /// Tells that a block was read, which may be kept.
    pub(super) fn was_read(&self, id: BlockId, bytes: &[u8]) {
        if bytes.len() > MOST_BYTES {
            return;
        }
        self.at(id, |place| {
            if place.candidate == Some(id) {
                place.candidate = None;
                place.kept = Some(id);
                place.bytes.clear();
                place.bytes.reserve_exact(MOST_BYTES);
                place.bytes.extend_from_slice(bytes);
            } else {
                place.candidate = Some(id);
            }
        });
    }

    fn at<R>(&self, id: BlockId, visit: impl FnOnce(&mut Place) -> R) -> Option<R> {
        if self.places == 0 {
            return None;
        }
        let hash = (id.0.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ id.1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shard = &self.shards[(hash >> 60) as usize % SHARDS];
        let place = (((hash >> 20 & 0xffff_ffff) * self.places) >> 32) as usize;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get_mut(place).map(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_once_pushes_nothing_out() {
        let cache = BlockCache::new(1024 * 1024);
        let hot = (1, 4096);
        for _ in 0..2 {
            assert!(cache.look_into(hot, |_| ()).is_none());
            cache.was_read(hot, b"hot");
        }
        for number in 0..100_000_u64 {
            cache.was_read((2, number), b"cold");
        }
        assert_eq!(cache.look_into(hot, <[u8]>::to_vec).unwrap(), b"hot");
        assert!(cache.look_into((2, 4096), |_| ()).is_none());
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let cache = BlockCache::new(0);
        cache.was_read((1, 1), b"a");
        cache.was_read((1, 1), b"a");
        assert!(cache.look_into((1, 1), |_| ()).is_none());
    }
}
