//! Two threads that deal their records out by key, by hand.

use super::two_threads::deal;
use crate::exchange::{RecordSize, checked, record};
use crate::expected::Totals;
use crate::random::mix;
use std::hint::black_box;

/// Makes one half of the records in each of two threads, and adds up in each of them those whose key belongs to it.
pub fn two_thread_exchange(records: u64, size: RecordSize) -> Totals {
    match size {
        RecordSize::Bytes8 => exchange::<1>(records),
        RecordSize::Bytes16 => exchange::<2>(records),
        RecordSize::Bytes128 => exchange::<16>(records),
    }
}

fn exchange<const WORDS: usize>(records: u64) -> Totals {
    let make = |number| {
        let record = record::<WORDS>(number);
        ((mix(record[0]) >> 63) as usize, record)
    };
    let [first, second] = deal(records, make, |totals: &mut Totals, batch| {
        black_box(&mut *batch);
        batch.drain(..).for_each(|record| totals.add(checked(&record)));
    });
    first.and(second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::expect_exchange;

    #[test]
    fn all_records_arrive_whatever_their_size_and_number() {
        for size in [RecordSize::Bytes8, RecordSize::Bytes16, RecordSize::Bytes128] {
            for records in [0, 1, 1000, 300_001] {
                assert_eq!(two_thread_exchange(records, size), expect_exchange(records, size));
            }
        }
    }
}
