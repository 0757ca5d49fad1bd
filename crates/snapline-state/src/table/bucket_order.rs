//! Entries on their way into a table, in the order in which they will lie there.
//!
//! The memory of a new segment is in no cache. An insert waits for it when the place is a random one, but
//! not when the place before was just written: then the processor has fetched it already.
//!
//! What a table has drained is nearly in that order, if its segments were as large as the new ones are. Then
//! entries are passed on as they come.

use crate::format::block::Entry;
use snapline_core::Result;

/// So many entries wait to be sorted: about as many as a segment has, and few enough to stay in the cache.
const AT_ONCE: usize = 2048;
/// A segment has up to twice as many buckets as this has values; the order need not be exact.
const BINS: usize = 256;
/// So many bins an entry may lie before the one that came before it: a full place has moved it or the other.
const NEAR: usize = 2;
/// Entries are in order when at most so many of those that are looked at lie farther back. Each segment begins
/// with one.
const FEW: usize = AT_ONCE / 64;

/// Sorts a few thousand entries at a time by the bucket where each will be, unless they come in that order.
#[derive(Debug)]
pub(super) struct InBucketOrder<'a> {
    /// From which bit of a hash on its bin is read.
    bit: u32,
    waiting: Vec<(u64, Entry<'a>)>,
    order: Vec<u16>,
    sequence: Sequence,
}

/// How entries come.
#[derive(Debug, Default)]
struct Sequence {
    last_bin: usize,
    seen: usize,
    back: usize,
    /// Whether those that were looked at before were not in order.
    is_mixed: bool,
}

impl<'a> InBucketOrder<'a> {
    /// For a table whose buckets are in the order of these eight bits of hashes, of which the lowest is named.
    pub(super) fn of_bits_from(bit: u32) -> Self {
        Self {
            bit,
            waiting: Vec::new(),
            order: Vec::new(),
            sequence: Sequence::default(),
        }
    }

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
        self.sequence.look_at(bin(hash, self.bit));
        if !self.sequence.is_mixed && self.waiting.is_empty() {
            return keep(hash, entry);
        }
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
            next[bin(*hash, self.bit) + 1] += 1;
        }
        (0..BINS).for_each(|bin| next[bin + 1] += next[bin]);
        self.order.resize(self.waiting.len(), 0);
        for (index, (hash, _)) in (0..).zip(&self.waiting) {
            let place = &mut next[bin(*hash, self.bit)];
            self.order[usize::from(*place)] = index;
            *place += 1;
        }
    }
}

impl Sequence {
    #[inline]
    fn look_at(&mut self, bin: usize) {
        self.seen += 1;
        self.back += usize::from(bin + NEAR < self.last_bin);
        self.last_bin = bin;
        if self.seen == AT_ONCE {
            self.is_mixed = self.back > FEW;
            (self.seen, self.back) = (0, 0);
        }
    }
}

#[inline]
fn bin(hash: u64, bit: u32) -> usize {
    (hash >> bit) as usize % BINS
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::Error;

    const BIT: u32 = 4;

    /// What comes out for entries with these hashes; each hash is the key as well.
    fn check(hashes: &[u64]) -> Vec<u64> {
        let keys: Vec<[u8; 8]> = hashes.iter().map(|hash| hash.to_le_bytes()).collect();
        let (mut sorted, mut out) = (InBucketOrder::of_bits_from(BIT), Vec::new());
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

    fn mixed(len: u64) -> Vec<u64> {
        (0..len).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
    }

    #[test]
    fn entries_that_are_mixed_come_in_the_order_of_their_buckets() {
        let mixed = mixed(3 * AT_ONCE as u64 - 1);
        let out = check(&mixed);
        // It takes some entries to see that they are mixed.
        assert_eq!(out[..AT_ONCE - 1], mixed[..AT_ONCE - 1]);
        let is_sorted = |window: &[u64]| window.is_sorted_by_key(|hash| bin(*hash, BIT));
        assert!(is_sorted(&out[AT_ONCE - 1..2 * AT_ONCE - 1]));
        assert!(is_sorted(&out[2 * AT_ONCE - 1..]));
    }

    #[test]
    fn entries_that_a_table_has_drained_come_as_they_are() {
        let mut drained: Vec<u64> = (0..4 * AT_ONCE as u64).map(|n| n << BIT).collect();
        // Some were moved to the place beside theirs.
        drained.chunks_exact_mut(5).for_each(|few| few.swap(0, 1));
        assert_eq!(check(&drained), drained);
    }

    #[test]
    fn entries_are_passed_on_again_when_they_come_in_order_again() {
        let (len, last) = (AT_ONCE as u64, 4 * AT_ONCE);
        let all: Vec<u64> = mixed(len)
            .into_iter()
            .chain((0..4 * len).map(|n| n << BIT))
            .collect();
        let out = check(&all);
        assert_eq!(out[out.len() - last / 2..], all[all.len() - last / 2..]);
    }

    #[test]
    fn each_entry_comes_once() {
        for len in [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7] {
            let hashes = mixed(len as u64);
            let (mut all, mut out) = (hashes.clone(), check(&hashes));
            all.sort_unstable();
            out.sort_unstable();
            assert_eq!(out, all);
        }
    }

    #[test]
    fn an_entry_that_cannot_be_kept_is_an_error() {
        let mut sorted = InBucketOrder::of_bits_from(BIT);
        let entry = Entry { key: &[], value: &[] };
        let mut keep = |_, _: Entry<'_>| Err(Error::corrupted("for the test"));
        assert!(sorted.push(1, entry, &mut keep).is_err());
        sorted.sequence.is_mixed = true;
        sorted.push(1, entry, &mut keep).unwrap();
        assert!(sorted.flush(&mut keep).is_err());
        assert!(sorted.flush(&mut keep).is_ok());
    }
}
