//! Tables that are loaded at once have what tables have that were filled one by one.

use crate::format::block::stored::{StoredBlock, StoredEntries, overlap};
use crate::format::block::{Block, BlockReader, BlockWriter, TableMeta};
use crate::snapshot::block_channel;
use crate::spec::{LiveTable, TableId};
use crate::table::{Slot, StateTable};
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_core::{ErrorKind, KeyGroupRange, MaxParallelism, StableHasher};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

type Numbers = StateTable<u64, u64>;

fn hash(key: u64) -> u64 {
    StableHasher::new().hash(&key).unwrap()
}

fn put(table: &mut Numbers, key: u64, value: u64) {
    table.update(hash(key), key, |slot| match slot {
        Slot::Occupied(old) => *old = value,
        Slot::Vacant(vacant) => *vacant = Some(value),
    });
}

fn filled(max: MaxParallelism, keys: impl Iterator<Item = u64>) -> Numbers {
    let mut table = Numbers::new(max);
    keys.for_each(|key| put(&mut table, key, key * 3));
    table
}

fn content(table: &Numbers) -> BTreeMap<u64, u64> {
    let mut content = BTreeMap::new();
    for (key, value) in table.iter() {
        assert_eq!(content.insert(*key, *value), None, "key {key} is there twice");
    }
    content
}

/// What the file of a table has for a subtask that owns these key groups.
fn stored(table: &mut Numbers, own: KeyGroupRange, max: MaxParallelism) -> StoredEntries {
    let (sender, receiver) = block_channel();
    let mut writer = BlockWriter::new(sender);
    let meta = TableMeta {
        name: "t".into(),
        version: 1,
        key_type: "u64".into(),
        key_version: 1,
        value_type: "u64".into(),
        schema: None,
    };
    writer.begin_table(TableId(0), &meta).unwrap();
    table.freeze();
    while !table.drain(TableId(0), &mut writer).unwrap() {}
    writer.finish();
    let file = block_on(receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();
    let mut stored = StoredEntries::new(TableId(0), own, max);
    for block in BlockReader::new(Bytes::from(file)).unwrap() {
        if let Block::Entries {
            key_groups,
            entries,
            payload,
            ..
        } = block.unwrap()
        {
            stored
                .push(StoredBlock {
                    key_groups,
                    entries,
                    payload,
                })
                .unwrap();
        }
    }
    stored
}

fn threads(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[test]
fn a_loaded_table_has_all_entries_in_no_more_segments_than_one_that_grew() {
    let max = MaxParallelism::DEFAULT;
    for (keys, number) in [(0, 1), (1, 2), (20, 1), (5_000, 4), (40_000, 1), (40_000, 2)] {
        let mut grown = filled(max, 0..keys);
        let mut loaded = Numbers::new(max);
        let stored = stored(&mut grown, max.full_range(), max);
        loaded.load(&stored, threads(number)).unwrap();
        assert_eq!(loaded.len() as u64, keys);
        assert!(
            content(&loaded) == content(&grown),
            "{keys} keys, {number} threads"
        );
        // The parts of many threads begin with a segment each.
        let (has, needs) = (
            loaded.segments.len(),
            grown.segments.len().max(16 * (number - 1) + 1),
        );
        assert!(
            has <= needs,
            "{keys} keys, {number} threads: {has} segments instead of {needs}"
        );
    }
}

#[test]
fn subtasks_share_the_entries_and_make_no_room_for_those_of_others() {
    const KEYS: u64 = 24_000;
    for (groups, number) in [(1, 2), (3, 2), (10, 1), (128, 1), (128, 2)] {
        let max = MaxParallelism::new(groups).unwrap();
        let mut all = filled(max, 0..KEYS);
        for parallelism in [1, 2, 3].into_iter().filter(|parallelism| *parallelism <= groups) {
            let mut found = BTreeMap::new();
            for subtask in 0..parallelism {
                let own = max.range_of(snapline_core::SubtaskIndex(subtask), parallelism);
                let stored = stored(&mut all, own, max);
                let mut part = Numbers::new(max);
                part.load(&stored, threads(number)).unwrap();
                let content = content(&part);
                assert!(content.keys().all(|key| own.contains(max.key_group(hash(*key)))));
                found.extend(content);
                for segment in part.segments.into_inner() {
                    let is_own = overlap(&segment.hashes(), &stored.hashes()) > 0;
                    assert!(is_own || segment.room() == 0, "{groups} groups: {segment:?}");
                }
            }
            assert!(found == content(&all), "{groups} groups, {parallelism} subtasks");
        }
    }
}

#[test]
fn entries_that_are_not_of_the_tables_types_are_damage_on_every_thread() {
    let max = MaxParallelism::DEFAULT;
    let stored = stored(&mut filled(max, 0..5_000), max.full_range(), max);
    for number in [1, 2] {
        let mut other = StateTable::<u64, String>::new(max);
        let error = other.load(&stored, threads(number)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn several_files_are_loaded_one_after_the_other_and_the_table_goes_on(
        sizes in prop::collection::vec(0..12_000_u64, 1..4),
        groups in 1..200_u32,
        number in 1..4_usize,
    ) {
        let max = MaxParallelism::new(groups).unwrap();
        let mut loaded = Numbers::new(max);
        let mut expected = BTreeMap::new();
        let mut from = 0;
        for size in sizes {
            let mut file = filled(max, from..from + size);
            loaded.load(&stored(&mut file, max.full_range(), max), threads(number)).unwrap();
            expected.append(&mut content(&file));
            from += size;
        }
        prop_assert!(content(&loaded) == expected);
        for key in (0..from + 1_000).step_by(7) {
            put(&mut loaded, key, key);
            expected.insert(key, key);
        }
        for key in (0..from).step_by(5) {
            prop_assert_eq!(loaded.remove(hash(key), &key), expected.remove(&key));
        }
        prop_assert_eq!(loaded.len(), expected.len());
        let again = stored(&mut loaded, max.full_range(), max);
        let mut copy = Numbers::new(max);
        copy.load(&again, threads(number)).unwrap();
        prop_assert!(content(&copy) == expected);
    }
}
