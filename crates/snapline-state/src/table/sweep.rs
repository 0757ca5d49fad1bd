//! Going round a table to remove what is gone, a few entries at a time.

use super::StateTable;
use snapline_core::{Data, Key};

/// Where to go on.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The low hash at which the segment begins.
    hash: u64,
    bucket: usize,
}

impl<K: Key, V: Data> StateTable<K, V> {
    /// Looks at some buckets, others each time, and removes the entries that are gone.
    pub(crate) fn sweep(&mut self, buckets: usize, is_gone: impl Fn(&V) -> bool) {
        if self.is_empty() {
            return;
        }
        let segment = &self.segments[self.segments.position_of(self.sweep.hash)];
        let range = self.sweep.bucket..self.sweep.bucket + buckets;
        let gone: Vec<K> = segment.keys_in(range.clone(), is_gone).cloned().collect();
        self.sweep = match range.end < segment.buckets() {
            true => Sweep {
                hash: self.sweep.hash,
                bucket: range.end,
            },
            false => Sweep {
                hash: segment.hashes().end & u64::from(u32::MAX),
                bucket: 0,
            },
        };
        for key in gone {
            if let Ok(hash) = self.hasher.hash(&key) {
                self.remove(hash, &key);
            }
        }
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
