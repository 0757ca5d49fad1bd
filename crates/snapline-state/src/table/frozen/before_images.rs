//! Entries as they were before they changed.

use super::{Kept, Run};
use crate::table::buckets::Full;
use snapline_core::{Data, Key, Result};

/// So many shares of the low hashes, each with entries of its own: few enough that the ends of all stay in the cache
/// while entries come in no order, and so many that they can be written with the entries beside which they belong.
const SHARES: u64 = 256;

/// How many low hashes a share has.
const HASHES: u64 = (1 << 32) / SHARES;

/// The entries that a running snapshot has got early, by the hashes of their keys.
#[derive(Debug)]
pub(in crate::table) struct BeforeImages<K, V> {
    shares: Vec<Kept<K, V>>,
    /// The first share that was not handed out.
    next: u64,
}

impl<K: Key, V: Data> BeforeImages<K, V> {
    /// None.
    pub(in crate::table) fn new() -> Self {
        Self {
            shares: std::iter::repeat_with(Kept::default)
                .take(SHARES as usize)
                .collect(),
            next: 0,
        }
    }

    /// Keeps an entry.
    #[inline]
    pub(in crate::table) fn keep(&mut self, hash: u64, full: &Full<K, V>) -> Result<()> {
        let share = &mut self.shares[(u64::from(hash as u32) / HASHES) as usize];
        share.push(full)
    }

    /// Moves the entries of the next share to a run, if none comes to it any more because all of its hashes are below
    /// this one; whether there was such a share.
    pub(in crate::table) fn move_share(&mut self, drained_to: u64, run: &mut Run<K, V>) -> bool {
        let hashes = self.next * HASHES..(self.next + 1) * HASHES;
        if self.next == SHARES || hashes.end > drained_to {
            return false;
        }
        let share = std::mem::take(&mut self.shares[self.next as usize]);
        self.next += 1;
        if !share.is_empty() {
            run.append(&share, &hashes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_handed_out_once_and_only_when_all_of_its_hashes_are_drained() {
        let mut before = BeforeImages::new();
        for hash in [0, HASHES - 1, HASHES, 3 * HASHES, u64::from(u32::MAX)] {
            let full = Full {
                key: hash,
                value: 1_u8,
            };
            before.keep(hash | 7 << 40, &full).unwrap();
        }
        let mut run = Run::with(Kept::default());
        let mut move_up_to = |hash| {
            while before.move_share(hash, &mut run) {}
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
}
