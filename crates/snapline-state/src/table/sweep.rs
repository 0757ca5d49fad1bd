//! Going round a table to remove what is gone, a few entries at a time.

use super::StateTable;
use snapline_core::{Data, Key};

/// Where to go on.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct BucketPlace {
    /// The low hash at which the segment begins.
    hash: u64,
    bucket: usize,
}

impl<K: Key, V: Data> StateTable<K, V> {
    /// Looks at some buckets, others each time, and removes the entries that are gone.
    pub(crate) fn sweep(&mut self, buckets: usize, is_gone: impl Fn(&V) -> bool) {
        let mut place = self.sweep;
        self.sweep_from(&mut place, buckets, is_gone);
        self.sweep = place;
    }

    /// The same from a place on, of buckets that one segment has; whether it was the last one.
    pub(crate) fn sweep_from(
        &mut self,
        place: &mut BucketPlace,
        buckets: usize,
        is_gone: impl Fn(&V) -> bool,
    ) -> bool {
        if self.is_empty() {
            return true;
        }
        let segment = &self.segments[self.segments.position_of(place.hash)];
        let range = place.bucket..place.bucket + buckets;
        let gone: Vec<K> = segment.keys_in(range.clone(), is_gone).cloned().collect();
        *place = match range.end < segment.buckets() {
            true => BucketPlace {
                hash: place.hash,
                bucket: range.end,
            },
            false => BucketPlace {
                hash: segment.hashes().end & u64::from(u32::MAX),
                bucket: 0,
            },
        };
        for key in gone {
            if let Ok(hash) = self.hasher.hash(&key) {
                self.remove(hash, &key);
            }
        }
        (place.hash, place.bucket) == (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Slot;
    use snapline_core::{MaxParallelism, StableHasher};

    #[test]
    fn every_entry_that_is_gone_is_removed_in_one_round_and_no_other() {
        let mut table = StateTable::<u64, u64>::new(MaxParallelism::DEFAULT);
        let mut hasher = StableHasher::new();
        for key in 0..20_000_u64 {
            let hash = hasher.hash(&key).unwrap();
            table.update(hash, key, |slot| {
                if let Slot::Vacant(vacant) = slot {
                    *vacant = Some(key);
                }
            });
        }
        for _ in 0..20_000 {
            table.sweep(8, |value| value % 3 == 0);
        }
        assert_eq!(table.len(), (0..20_000).filter(|value| value % 3 != 0).count());
        assert!(table.iter().all(|(key, value)| key == value && value % 3 != 0));
    }
}
