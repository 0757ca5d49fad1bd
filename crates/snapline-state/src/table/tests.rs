//! Tests of the live table.

use super::*;
use crate::format::block::{Block, BlockReader, Entry, TableMeta};
use crate::snapshot::block_channel;
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_core::{StableHasher, decode};
use std::collections::BTreeMap;

type Counts = StateTable<u64, String>;

/// Values of a table: a snapshot gets copies of numbers, and texts are encoded at once.
trait Value: Data + PartialEq + std::fmt::Debug {
    fn of(value: u8) -> Self;
}

impl Value for String {
    fn of(value: u8) -> Self {
        value.to_string()
    }
}

impl Value for u64 {
    fn of(value: u8) -> Self {
        value.into()
    }
}

fn hash(key: u64) -> u64 {
    StableHasher::new().hash(&key).unwrap()
}

fn put<V: Data>(table: &mut StateTable<u64, V>, key: u64, value: impl Into<V>) {
    let value = value.into();
    table.update(hash(key), key, |slot| match slot {
        Slot::Occupied(old) => *old = value,
        Slot::Vacant(vacant) => *vacant = Some(value),
    });
}

fn content<V: Data>(table: &StateTable<u64, V>) -> BTreeMap<u64, V> {
    table.iter().map(|(key, value)| (*key, value.clone())).collect()
}

/// Drains a frozen table, calling `meanwhile` between the quanta, and reads what came out.
fn drained(table: &mut Counts, mut meanwhile: impl FnMut(&mut Counts)) -> BTreeMap<u64, String> {
    let (sender, receiver) = block_channel();
    let mut writer = BlockWriter::new(sender);
    let meta = TableMeta {
        name: "t".into(),
        version: 1,
        key_type: "u64".into(),
        key_version: 1,
        value_type: "String".into(),
        schema: None,
    };
    writer.begin_table(TableId(0), &meta).unwrap();
    meanwhile(table);
    while !table.drain(TableId(0), &mut writer).unwrap() {
        meanwhile(table);
    }
    writer.finish();
    let file = block_on(receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();
    read(table, file)
}

fn read<V: Value>(table: &StateTable<u64, V>, file: Vec<u8>) -> BTreeMap<u64, V> {
    let mut found = BTreeMap::new();
    for block in BlockReader::new(Bytes::from(file)).unwrap() {
        let Block::Entries {
            payload, key_groups, ..
        } = block.unwrap()
        else {
            continue;
        };
        for entry in Entry::iter(&payload) {
            let entry = entry.unwrap();
            let key: u64 = decode(entry.key).unwrap();
            assert!(
                key_groups.contains(table.key_group(hash(key))),
                "an entry outside the groups of its block"
            );
            let twice = found.insert(key, decode(entry.value).unwrap());
            assert_eq!(twice, None, "key {key} is in the snapshot twice");
        }
    }
    found
}

#[test]
fn a_table_of_many_segments_finds_every_key() {
    let mut table = Counts::new(MaxParallelism::DEFAULT);
    (0..50_000).for_each(|key| put(&mut table, key, key.to_string()));
    assert!(table.segments.len() > 8);
    assert_eq!(table.len(), 50_000);
    assert!((0..50_000).all(|key| table.get(hash(key), &key) == Some(&key.to_string())));
    (0..50_000)
        .step_by(2)
        .for_each(|key| assert!(table.remove(hash(key), &key).is_some()));
    assert_eq!(table.len(), 25_000);
    assert!((0..50_000).all(|key| table.get(hash(key), &key).is_some() == (key % 2 == 1)));
}

#[test]
fn removing_and_inserting_for_ever_does_not_grow_the_table() {
    let mut table = Counts::new(MaxParallelism::DEFAULT);
    for key in 0..100_000 {
        put(&mut table, key, "x");
        table.remove(hash(key), &key);
    }
    assert_eq!((table.len(), table.segments.len()), (0, 1));
}

#[test]
fn a_drain_meets_writes_that_split_segments_and_still_sees_the_moment_of_the_freeze() {
    let mut table = Counts::new(MaxParallelism::DEFAULT);
    (0..40_000).for_each(|key| put(&mut table, key, "old"));
    let before = content(&table);
    table.freeze();
    let mut next = 40_000_u64;
    let snapshot = drained(&mut table, |table| {
        for _ in 0..2_000 {
            put(table, next, "new");
            put(table, next % 40_000, "changed");
            table.remove(hash(next / 2), &(next / 2));
            next += 1;
        }
    });
    assert_eq!(snapshot, before);
    assert!(table.segments.len() > 10);
}

#[test]
fn a_batch_is_applied_in_order_with_repeated_keys() {
    let mut table = Counts::new(MaxParallelism::DEFAULT);
    let keys = [1, 2, 1, 3, 1];
    let hashes: Vec<_> = keys.iter().map(|key| hash(*key)).collect();
    table.update_batch(&hashes, keys.into_iter(), |index, slot| match slot {
        Slot::Occupied(value) => value.push_str(&index.to_string()),
        Slot::Vacant(vacant) => *vacant = Some(index.to_string()),
    });
    let expected = [(1, "024"), (2, "1"), (3, "3")].map(|(key, value)| (key, value.to_owned()));
    assert_eq!(content(&table), BTreeMap::from(expected));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, u8),
    Remove(u64),
    Freeze,
    Drain,
    Thaw,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_000_u64;
    prop_oneof![
        30 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        10 => key.prop_map(Step::Remove),
        1 => Just(Step::Freeze),
        3 => Just(Step::Drain),
        1 => Just(Step::Thaw),
    ]
}

/// Takes the steps with a table and with a plain map, and compares them and every snapshot.
fn check_steps<V: Value>(filled: u64, steps: &[Step]) {
    let mut table = StateTable::<u64, V>::new(MaxParallelism::DEFAULT);
    let mut model = BTreeMap::new();
    for key in 0..filled {
        put(&mut table, key, V::of(0));
        model.insert(key, V::of(0));
    }
    let mut frozen: Option<(BTreeMap<u64, V>, BlockWriter, crate::snapshot::BlockReceiver)> = None;
    for step in steps {
        match step {
            Step::Put(key, value) => {
                put(&mut table, *key, V::of(*value));
                model.insert(*key, V::of(*value));
            }
            Step::Remove(key) => assert_eq!(table.remove(hash(*key), key), model.remove(key)),
            Step::Freeze => {
                let (sender, receiver) = block_channel();
                table.freeze();
                frozen = Some((model.clone(), BlockWriter::new(sender), receiver));
            }
            Step::Thaw => {
                table.thaw();
                frozen = None;
            }
            Step::Drain => {
                let Some((expected, mut writer, receiver)) = frozen.take() else {
                    continue;
                };
                if table.drain(TableId(0), &mut writer).unwrap() {
                    writer.finish();
                    let file = block_on(receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();
                    assert_eq!(read(&table, file), expected);
                } else {
                    frozen = Some((expected, writer, receiver));
                }
            }
        }
    }
    assert_eq!(content(&table), model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_table_and_every_snapshot_agree_with_a_plain_map(
        filled in 0..6_000_u64,
        steps in prop::collection::vec(step(), 1..400),
    ) {
        check_steps::<String>(filled, &steps);
        check_steps::<u64>(filled, &steps);
    }
}

/// Three snapshots, of which the second is given up half-way; between their quanta all entries change, so that all
/// kinds of buffers are used by each.
fn check_used_again<V: Value>() {
    let mut table = StateTable::<u64, V>::new(MaxParallelism::DEFAULT);
    (0..20_000).for_each(|key| put(&mut table, key, V::of(0)));
    for snapshot in 1..=3 {
        let before = content(&table);
        table.freeze();
        let (sender, receiver) = block_channel();
        let mut writer = BlockWriter::new(sender);
        let mut quanta = 0_u64;
        while !table.drain(TableId(0), &mut writer).unwrap() && (snapshot, quanta) != (2, 2) {
            quanta += 1;
            let every = (0..20_000).filter(|key| key % 3 == quanta % 3);
            every.for_each(|key| put(&mut table, key, V::of(10 * snapshot + quanta as u8)));
        }
        assert!(quanta > 1);
        if snapshot != 2 {
            writer.finish();
            let file = block_on(receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();
            assert_eq!(read(&table, file), before);
        }
    }
}

#[test]
fn buffers_that_are_used_again_bring_no_entries_of_earlier_snapshots_along() {
    check_used_again::<u64>();
    check_used_again::<String>();
}

#[test]
fn a_batch_is_read_in_order_and_keys_without_a_value_are_passed_over() {
    let mut table: StateTable<u64, u64> = StateTable::new(MaxParallelism::DEFAULT);
    (0..100_000)
        .step_by(2)
        .for_each(|key| put(&mut table, key, key + 1));
    assert!(table.segments.len() > 2);
    let keys: Vec<u64> = (0..200).map(|index| index * 7_919 % 100_000).collect();
    let hashes: Vec<u64> = keys.iter().map(|key| hash(*key)).collect();
    let mut seen = Vec::new();
    table.read_each(&hashes, keys.iter(), |value| seen.push(*value));
    let expected = keys.iter().filter(|key| *key % 2 == 0).map(|key| key + 1);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}
