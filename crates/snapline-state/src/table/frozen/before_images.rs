//! Entries as they were before they changed.

use super::Run;
use crate::format::block::Entry;
use serde::Serialize;
use snapline_core::Result;

/// So many shares of the low hashes, each with entries of its own: few enough that the ends of all stay in the cache
/// while entries come in no order, and so many that they can be written with the entries beside which they belong.
const SHARES: u64 = 256;

/// How many low hashes a share has.
const HASHES: u64 = (1 << 32) / SHARES;

/// The entries that a running snapshot has got early, encoded, by the hashes of their keys.
#[derive(Debug)]
pub(in crate::table) struct BeforeImages {
    shares: Vec<Share>,
    /// The first share that was not handed out.
    next: u64,
}

#[derive(Debug, Default, Clone)]
struct Share {
    payload: Vec<u8>,
    entries: u32,
}

impl BeforeImages {
    /// None.
    pub(in crate::table) fn new() -> Self {
        Self {
            shares: vec![Share::default(); SHARES as usize],
            next: 0,
        }
    }

    /// Keeps an entry.
    #[inline]
    pub(in crate::table) fn keep<K: Serialize, V: Serialize>(
        &mut self,
        hash: u64,
        key: &K,
        value: &V,
    ) -> Result<()> {
        let share = &mut self.shares[(u64::from(hash as u32) / HASHES) as usize];
        Entry::encode(key, value, &mut share.payload)?;
        share.entries += 1;
        Ok(())
    }

    /// Moves the entries of the next share to a run, if none comes to it any more because all of its hashes are below
    /// this one; whether there was such a share.
    pub(in crate::table) fn move_share(&mut self, drained_to: u64, run: &mut Run) -> bool {
        let hashes = self.next * HASHES..(self.next + 1) * HASHES;
        if self.next == SHARES || hashes.end > drained_to {
            return false;
        }
        let share = std::mem::take(&mut self.shares[self.next as usize]);
        self.next += 1;
        if share.entries > 0 {
            run.append(&share.payload, share.entries, &hashes);
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
            before.keep(hash | 7 << 40, &hash, &1_u8).unwrap();
        }
        let mut run = Run::default();
        let mut move_up_to = |hash| {
            while before.move_share(hash, &mut run) {}
            (run.entries, run.hashes())
        };
        assert_eq!(move_up_to(HASHES - 1), (0, None));
        let first = (0, (HASHES - 1) as u32);
        assert_eq!(move_up_to(HASHES), (2, Some(first)));
        assert_eq!(move_up_to(2 * HASHES - 1), (2, Some(first)));
        assert_eq!(move_up_to(3 * HASHES).0, 3);
        assert_eq!(move_up_to(1 << 32), (5, Some((0, u32::MAX))));
        assert_eq!(move_up_to(1 << 32).0, 5);
        assert_eq!(Entry::iter(&run.payload).count(), 5);
    }
}
