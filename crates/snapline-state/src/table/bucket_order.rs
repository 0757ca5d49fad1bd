//! Entries on their way into a table, in the order in which they will lie there.
//!
//! The memory of a new segment is in no cache. An insert waits for it when the place is a random one, but
//! not when the place before was just written: then the processor has fetched it already.

use crate::format::block::Entry;
use snapline_core::Result;

/// So many entries wait to be sorted: about as many as a segment has, and few enough to stay in the cache.
const AT_ONCE: usize = 2048;
/// A segment has up to twice as many buckets as this has values; the order need not be exact.
const BINS: usize = 256;
/// The bits of a bucket's index that do not count.
const IN_BIN: u32 = 4;

/// Sorts a few thousand entries at a time by the bucket where each will be.
#[derive(Debug, Default)]
pub(super) struct InBucketOrder<'a> {
    waiting: Vec<(u64, Entry<'a>)>,
    order: Vec<u16>,
}

impl<'a> InBucketOrder<'a> {
    /// Takes one more, and hands out what waits when it is enough.
    ///
    /// # Errors
    /// The first error of `keep`.
    #[inline]
    pub(super) fn push(
        &mut self,
        hash: u64,
        entry: Entry<'a>,
        keep: &mut impl FnMut(u64, Entry<'a>) -> Result<()>,
    ) -> Result<()> {
        self.waiting.push((hash, entry));
        match self.waiting.len() < AT_ONCE {
            true => Ok(()),
            false => self.flush(keep),
        }
    }

    /// Hands out all that wait.
    ///
    /// # Errors
    /// The first error of `keep`.
    pub(super) fn flush(&mut self, keep: &mut impl FnMut(u64, Entry<'a>) -> Result<()>) -> Result<()> {
        self.sort();
        let mut in_order = self.order.iter().map(|index| self.waiting[usize::from(*index)]);
        let outcome = in_order.try_for_each(|(hash, entry)| keep(hash, entry));
        self.waiting.clear();
        outcome
    }

    /// A counting sort.
    fn sort(&mut self) {
        let mut next = [0_u16; BINS + 1];
        for (hash, _) in &self.waiting {
            next[bin(*hash) + 1] += 1;
        }
        (0..BINS).for_each(|bin| next[bin + 1] += next[bin]);
        self.order.resize(self.waiting.len(), 0);
        for (index, (hash, _)) in (0..).zip(&self.waiting) {
            let place = &mut next[bin(*hash)];
            self.order[usize::from(*place)] = index;
            *place += 1;
        }
    }
}

#[inline]
fn bin(hash: u64) -> usize {
    (hash >> IN_BIN) as usize % BINS
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::Error;

    /// What comes out for entries with these hashes; each hash is the key as well.
    fn check(hashes: &[u64]) -> Vec<u64> {
        let keys: Vec<[u8; 8]> = hashes.iter().map(|hash| hash.to_le_bytes()).collect();
        let (mut sorted, mut out) = (InBucketOrder::default(), Vec::new());
        let mut keep = |hash: u64, entry: Entry<'_>| {
            assert_eq!(entry.key, hash.to_le_bytes());
            out.push(hash);
            Ok(())
        };
        for (hash, key) in hashes.iter().zip(&keys) {
            let entry = Entry { key, value: &[] };
            sorted.push(*hash, entry, &mut keep).unwrap();
        }
        sorted.flush(&mut keep).unwrap();
        out
    }

    #[test]
    fn entries_come_in_the_order_of_their_buckets() {
        assert!(check(&[]).is_empty());
        assert_eq!(
            check(&[0x1FF0, 0x20, 0x15, 0x10, 0xFFF]),
            [0x15, 0x10, 0x20, 0x1FF0, 0xFFF]
        );
    }

    #[test]
    fn each_entry_comes_once() {
        for len in [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7] {
            let hashes: Vec<u64> = (0..len as u64)
                .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .collect();
            let (mut all, mut out) = (hashes.clone(), check(&hashes));
            all.sort_unstable();
            out.sort_unstable();
            assert_eq!(out, all);
        }
    }

    #[test]
    fn an_entry_that_cannot_be_kept_is_an_error() {
        let mut sorted = InBucketOrder::default();
        let entry = Entry { key: &[], value: &[] };
        let mut keep = |_, _: Entry<'_>| Err(Error::corrupted("for the test"));
        sorted.push(1, entry, &mut keep).unwrap();
        assert!(sorted.flush(&mut keep).is_err());
        assert!(sorted.flush(&mut keep).is_ok());
    }
}
