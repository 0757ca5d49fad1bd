//! Snapshots of changes, each with all before it, against a plain map.

use crate::format::block::stored::{StoredBlock, StoredEntries};
use crate::format::block::{Block, BlockReader, BlockWriter, TableMeta};
use crate::snapshot::{BlockReceiver, block_channel};
use crate::{LiveTable, Slot, StateTable, TableId};
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_core::{MaxParallelism, StableHasher};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

type Table = StateTable<u64, u32>;
type Content = BTreeMap<u64, u32>;

/// A table that tracks its changes, and what it should be.
struct Subject {
    table: Table,
    model: Content,
    running: Option<Running>,
    done: Vec<Done>,
}

/// A snapshot that is being drained.
struct Running {
    expected: Content,
    freeze: u64,
    base: Option<usize>,
    writer: BlockWriter,
    receiver: BlockReceiver,
}

/// A snapshot and the ones that it builds on, as files.
#[derive(Clone)]
struct Done {
    freeze: u64,
    expected: Content,
    files: Vec<(bool, Bytes)>,
}

fn hash(key: u64) -> u64 {
    StableHasher::new().hash(&key).unwrap()
}

impl Subject {
    fn new(keys: u64) -> Self {
        let mut subject = Self {
            table: Table::new(MaxParallelism::DEFAULT),
            model: Content::new(),
            running: None,
            done: Vec::new(),
        };
        subject.table.track();
        (0..keys).for_each(|key| subject.put(key, 1));
        subject
    }

    fn put(&mut self, key: u64, value: u32) {
        self.table.update(hash(key), key, |slot| match slot {
            Slot::Occupied(old) => *old = value,
            Slot::Vacant(vacant) => *vacant = Some(value),
        });
        self.model.insert(key, value);
    }

    fn put_all(&mut self, keys: std::ops::Range<u64>, value: u32) {
        let hashes: Vec<u64> = keys.clone().map(hash).collect();
        self.table
            .update_batch(&hashes, keys.clone(), |_, slot| match slot {
                Slot::Occupied(old) => *old = value,
                Slot::Vacant(vacant) => *vacant = Some(value),
            });
        self.model.extend(keys.map(|key| (key, value)));
    }

    fn remove(&mut self, key: u64) {
        assert_eq!(self.table.remove(hash(key), &key), self.model.remove(&key));
    }

    /// Freezes with the changes since an earlier snapshot, if there is one so many before the newest.
    fn remove_all(&mut self, keys: std::ops::Range<u64>) {
        keys.for_each(|key| self.remove(key));
    }

    fn freeze(&mut self, back: Option<usize>) {
        let base = back.and_then(|back| self.done.len().checked_sub(back + 1));
        let base = base.filter(|base| self.table.knows_changes_since(self.done[*base].freeze));
        let freeze = match base {
            Some(base) => self.table.freeze_changes(self.done[base].freeze),
            None => self.table.freeze(),
        };
        let (sender, receiver) = block_channel();
        let mut writer = BlockWriter::new(sender);
        let meta = TableMeta {
            name: "t".into(),
            version: 1,
            key_type: "u64".into(),
            key_version: 1,
            value_type: "u32".into(),
            schema: None,
        };
        writer.begin_table(TableId(0), &meta).unwrap();
        self.running = Some(Running {
            expected: self.model.clone(),
            freeze,
            base,
            writer,
            receiver,
        });
    }

    fn give_up(&mut self) {
        self.table.thaw();
        self.running = None;
    }

    fn drain(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        if !self.table.drain(TableId(0), &mut running.writer).unwrap() {
            self.running = Some(running);
            return;
        }
        running.writer.finish();
        let file = block_on(running.receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();
        let mut files = running
            .base
            .map_or_else(Vec::new, |base| self.done[base].files.clone());
        files.push((running.base.is_some(), Bytes::from(file)));
        let done = Done {
            freeze: running.freeze,
            expected: running.expected,
            files,
        };
        assert_eq!(restored(&done.files), done.expected);
        self.done.push(done);
    }

    fn finish(&mut self) {
        while self.running.is_some() {
            self.drain();
        }
    }

    /// The length of the last file.
    fn newest_len(&self) -> usize {
        self.done
            .last()
            .and_then(|done| done.files.last())
            .unwrap()
            .1
            .len()
    }
}

fn restored(files: &[(bool, Bytes)]) -> Content {
    let max = MaxParallelism::DEFAULT;
    let mut table = Table::new(max);
    for (is_delta, file) in files {
        let mut stored = match is_delta {
            true => StoredEntries::of_delta(TableId(0), max.full_range(), max),
            false => StoredEntries::new(TableId(0), max.full_range(), max),
        };
        for block in BlockReader::new(file.clone()).unwrap() {
            match block.unwrap() {
                Block::Meta(..) => {}
                Block::Entries {
                    key_groups,
                    entries,
                    payload,
                    ..
                } => stored
                    .push(StoredBlock {
                        key_groups,
                        entries,
                        payload,
                    })
                    .unwrap(),
                Block::Removed {
                    key_groups,
                    keys,
                    payload,
                    ..
                } => stored
                    .push_removed(StoredBlock {
                        key_groups,
                        entries: keys,
                        payload,
                    })
                    .unwrap(),
            }
        }
        table.load(&stored, NonZeroUsize::MIN).unwrap();
    }
    let content: Content = table.iter().map(|(key, value)| (*key, *value)).collect();
    assert_eq!(content.len(), table.len());
    content
}

#[test]
fn a_snapshot_of_changes_is_as_long_as_what_has_changed() {
    let mut subject = Subject::new(100_000);
    subject.freeze(None);
    subject.finish();
    let full = subject.newest_len();
    subject.put_all(0..1000, 7);
    subject.freeze(Some(0));
    subject.finish();
    let changes = subject.newest_len();
    assert!(changes * 50 < full, "{changes} of {full} bytes");
    subject.freeze(Some(0));
    subject.finish();
    assert!(
        subject.newest_len() < 300,
        "{} bytes for nothing",
        subject.newest_len()
    );
}

#[test]
fn changes_that_no_snapshot_has_are_in_the_next() {
    let mut subject = Subject::new(10_000);
    subject.freeze(None);
    subject.finish();
    subject.put(1, 10);
    subject.remove(2);
    subject.freeze(Some(0));
    subject.give_up();
    subject.put(3, 30);
    subject.freeze(Some(0));
    subject.put(1, 11);
    subject.put(2, 12);
    subject.finish();
    subject.freeze(Some(1));
    subject.finish();
    subject.freeze(Some(0));
    subject.finish();
}

#[test]
fn a_change_is_noted_though_as_many_were_noted_as_there_are_entries() {
    let mut subject = Subject::new(100);
    subject.freeze(None);
    subject.finish();
    subject.put_all(0..99, 2);
    subject.remove(0);
    subject.put_all(99..100, 3);
    subject.freeze(Some(0));
    subject.finish();
}

#[test]
fn a_key_that_came_back_is_not_lost_when_its_segment_has_split() {
    let mut subject = Subject::new(3_000);
    subject.freeze(None);
    subject.finish();
    for key in 0..1_000 {
        subject.remove(key);
        subject.put(key, 2);
    }
    subject.put_all(3_000..9_000, 3);
    subject.freeze(Some(0));
    subject.finish();
    // From now on only the first segment changes, and what it has noted counts for longer than in the others.
    let first = (0..9_000).min_by_key(|key| hash(*key) as u32).unwrap();
    for value in 4..6 {
        subject.put(first, value);
        subject.freeze(Some(1));
        subject.finish();
    }
}

#[test]
fn a_table_that_loses_much_more_than_it_keeps_asks_for_a_full_snapshot() {
    let mut subject = Subject::new(10);
    subject.freeze(None);
    subject.finish();
    let freeze = subject.done[0].freeze;
    for key in 10..1_000 {
        subject.table.update(hash(key), key, |slot| {
            if let Slot::Vacant(vacant) = slot {
                *vacant = Some(0);
            }
        });
        subject.table.remove(hash(key), &key);
        if !subject.table.knows_changes_since(freeze) {
            assert!(key > super::super::FEW_REMOVALS as u64);
            subject.freeze(Some(0));
            subject.finish();
            assert!(
                subject.newest_len() < 400,
                "keys that are gone stand in the full snapshot"
            );
            subject.put(3, 3);
            subject.freeze(Some(0));
            subject.finish();
            assert!(subject.done[2].files.len() == 2, "it knows its changes again");
            assert!(subject.newest_len() < 200, "what was forgotten has come back");
            return;
        }
    }
    panic!("removed keys are kept for ever");
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, u32),
    PutAll(u64, u64, u32),
    Remove(u64),
    RemoveAll(u64, u64),
    Freeze(Option<usize>),
    Drain,
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_000_u64;
    prop_oneof![
        30 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (key.clone(), 0..800_u64, any::<u32>()).prop_map(|(key, count, value)| Step::PutAll(key, count, value)),
        12 => key.clone().prop_map(Step::Remove),
        1 => (key, 0..6_000_u64).prop_map(|(key, count)| Step::RemoveAll(key, count)),
        3 => prop::option::weighted(0.8, 0..3_usize).prop_map(Step::Freeze),
        6 => Just(Step::Drain),
        1 => Just(Step::GiveUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_chain_of_snapshots_holds_the_moment_of_its_last_freeze(
        filled in 0..6_000_u64,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut subject = Subject::new(filled);
        for step in steps {
            match step {
                Step::Put(key, value) => subject.put(key, value),
                Step::PutAll(key, count, value) => subject.put_all(key..key + count, value),
                Step::Remove(key) => subject.remove(key),
                Step::RemoveAll(key, count) => subject.remove_all(key..key + count),
                Step::Freeze(back) => subject.freeze(back),
                Step::Drain => subject.drain(),
                Step::GiveUp => subject.give_up(),
            }
        }
        subject.finish();
        subject.freeze(Some(0));
        subject.finish();
    }
}
