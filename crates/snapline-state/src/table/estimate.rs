//! How much a delta would hold, before one is begun.
//!
//! A delta that turns out to be nearly as long as a full snapshot costs twice at the next restore. To count the
//! changes takes as long as the table is large, so some segments stand for all: hashes spread keys evenly.

use super::segments::Segments;
use snapline_core::{Data, Key};

/// So many segments are looked at: some tens of microseconds if none is in the cache.
const SAMPLE: usize = 64;

/// About how large a share of the entries has changed since a freeze.
pub(super) fn changed_share<K: Key, V: Data>(segments: &Segments<K, V>, since: u64) -> f64 {
    let every = segments.len().div_ceil(SAMPLE);
    let sample = (0..segments.len()).step_by(every);
    let (changed, all) = sample
        .map(|index| segments[index].changed_since(since))
        .fold((0, 0), |(changed, all), (some, len)| (changed + some, all + len));
    match all {
        0 => 0.0,
        all => changed as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::LiveTable;
    use crate::table::{Slot, StateTable};
    use snapline_core::{MaxParallelism, StableHasher};

    fn change(table: &mut StateTable<u64, u64>, keys: impl Iterator<Item = u64>) {
        let mut hasher = StableHasher::new();
        for key in keys {
            table.update(hasher.hash(&key).unwrap(), key, |slot| match slot {
                Slot::Occupied(value) => *value += 1,
                Slot::Vacant(value) => *value = Some(1),
            });
        }
    }

    fn tracked(keys: u64) -> StateTable<u64, u64> {
        let mut table = StateTable::new(MaxParallelism::DEFAULT);
        table.track();
        change(&mut table, 0..keys);
        table
    }

    #[test]
    fn the_share_is_about_right_for_few_keys_and_for_many() {
        for keys in [100, 2_000, 500_000] {
            for (changed, percent) in [(0, 0.0), (keys / 100, 0.01), (keys / 4, 0.25), (keys, 1.0)] {
                let mut table = tracked(keys);
                let since = table.freeze();
                change(&mut table, 0..changed);
                let share = table.changed_share(since);
                let error = (share - percent).abs();
                assert!(error <= 0.1 * percent, "{changed} of {keys}: {share}");
            }
        }
    }

    #[test]
    fn changes_count_once_over_several_freezes_and_only_since_the_one_that_is_asked_for() {
        let mut table = tracked(1_000);
        let first = table.freeze();
        change(&mut table, 0..100);
        let second = table.freeze_changes(first);
        change(&mut table, 50..150);
        assert_eq!(table.changed_share(first), 0.15);
        assert_eq!(table.changed_share(second), 0.1);
        let third = table.freeze_changes(second);
        assert_eq!(table.changed_share(second), 0.1);
        assert_eq!(table.changed_share(third), 0.0);
    }

    #[test]
    fn nothing_has_changed_in_an_empty_table() {
        assert_eq!(tracked(0).changed_share(0), 0.0);
        let mut table = tracked(10);
        for key in 0..10_u64 {
            table.remove(StableHasher::new().hash(&key).unwrap(), &key);
        }
        assert_eq!(table.changed_share(0), 0.0);
    }
}
