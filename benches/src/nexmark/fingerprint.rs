//! A number for a record that is the same on each run.

use crate::random::mix;
use std::hash::{Hash, Hasher};

/// What a record adds to the sum of a run: a hash of all its fields, so that the sum does not depend on the order of
/// records, and a field that is wrong shows.
#[inline]
pub(crate) fn fingerprint<T: Hash>(record: &T) -> u64 {
    let mut hasher = Mixing(0);
    record.hash(&mut hasher);
    hasher.0
}

/// Mixes one number after the other. The hashers of the standard library may change with its version.
struct Mixing(u64);

impl Hasher for Mixing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_differ_in_one_field_or_in_the_order_of_fields_have_other_fingerprints() {
        let records = [("ab", 1_u64), ("ab", 2), ("ba", 1), ("abcdefghi", 1)];
        let mut fingerprints: Vec<u64> = records.iter().map(fingerprint).collect();
        fingerprints.push(fingerprint(&(1_u64, "ab")));
        fingerprints.sort_unstable();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), 5);
    }

    #[test]
    fn fingerprints_do_not_change_from_version_to_version() {
        assert_eq!(fingerprint(&1_u64), mix(1));
    }
}
