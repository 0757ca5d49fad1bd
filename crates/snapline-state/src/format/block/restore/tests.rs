//! Restores from files that are read in ranges.

use super::super::pass::{GATHERED, LONG_DELTA};
use super::super::{Block, BlockWriter};
use super::*;
use crate::read_files::{RANGE, read_blocks_of_all};
use crate::snapshot::{SnapshotTarget, block_channel};
use crate::spec::TableSpec;
use crate::storage::{ByteStream, CheckpointStorage, Created, StorageCapability, Stored};
use crate::storage_key::StorageKey;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use snapline_core::{
    Codec, ErrorKind, KeyGroupRange, MaxParallelism, OperatorUid, SubtaskIndex, decode, encode_into,
    stable_hash_bytes,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A storage that notes how much is asked for at a time.
#[derive(Debug, Default)]
struct Map {
    objects: Mutex<BTreeMap<StorageKey, Bytes>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    longest: AtomicUsize,
}

#[async_trait]
impl CheckpointStorage for Map {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        "a map".to_owned()
    }

    async fn create(&self, _: &StorageKey, _: Bytes) -> Result<Created> {
        unreachable!()
    }

    async fn put(&self, key: &StorageKey, mut content: ByteStream) -> Result<Stored> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
        }
        let stored = Stored {
            len: bytes.len() as u64,
            checksum: crc32c::crc32c(&bytes),
        };
        self.objects.lock().unwrap().insert(key.clone(), bytes.into());
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        // Others are asked before this one answers.
        let mut asked = false;
        futures::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match std::mem::replace(&mut asked, true) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let object = self.objects.lock().unwrap().get(key).cloned();
        Ok(object.map(|bytes| {
            let range = range.unwrap_or(0..u64::MAX);
            let end = (range.end as usize).min(bytes.len());
            let start = (range.start as usize).min(end);
            self.longest.fetch_max(end - start, Ordering::SeqCst);
            bytes.slice(start..end)
        }))
    }

    async fn list(&self, _: &str, _: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        unreachable!()
    }

    async fn delete(&self, _: &[StorageKey]) -> Result<()> {
        unreachable!()
    }
}

fn max() -> MaxParallelism {
    MaxParallelism::DEFAULT
}

fn spec() -> TableSpec {
    let mut tables = Vec::new();
    crate::ValueState::<u64, String>::register("texts", &mut tables, max());
    tables.remove(0)
}

/// What becomes of a key in a file.
enum Change {
    Put(u64, String),
    Remove(u64),
}
use Change::{Put, Remove};

/// Writes a file, each change in a block of its own.
fn write(storage: &Arc<Map>, name: &str, kind: HandleKind, codec: Codec, changes: &[Change]) -> StateHandle {
    let prefix = StorageKey::new(name).unwrap();
    let target = SnapshotTarget::new(storage.clone(), prefix).compressed_by(codec);
    let (sender, blocks) = block_channel();
    let mut writer = BlockWriter::new(sender);
    writer.begin_table(TableId(7), spec().meta()).unwrap();
    for change in changes {
        let (Put(key, _) | Remove(key)) = change;
        let mut bytes = Vec::new();
        encode_into(key, &mut bytes).unwrap();
        let group = max().key_group(stable_hash_bytes(&bytes)).0;
        let groups = KeyGroupRange::new(group, group + 1);
        let mut payload = Vec::new();
        match change {
            Put(key, value) => {
                Entry::encode(key, value, &mut payload).unwrap();
                writer.append(TableId(7), groups, 1, &payload);
            }
            Remove(_) => {
                Entry::append_removed(&bytes, &mut payload);
                writer.append_removed(TableId(7), groups, 1, &payload);
            }
        }
        writer.begin_table(TableId(7), spec().meta()).unwrap();
    }
    writer.finish();
    block_on(target.write_blocks("keyed", blocks, kind, None)).unwrap()
}

fn context(storage: &Arc<Map>, restore: Vec<StateHandle>) -> StateContext {
    StateContext {
        operator: OperatorUid::new("texts").unwrap(),
        subtask: SubtaskIndex(0),
        max_parallelism: max(),
        key_groups: max().full_range(),
        tables: vec![spec()],
        restore,
        base: None,
        storage: storage.clone(),
    }
}

type Texts = BTreeMap<u64, String>;

/// What a backend that takes tables has, and one that takes entries; and the most bytes that came at once.
fn restored(context: &StateContext) -> Result<(Texts, usize)> {
    let (mut texts, mut most) = (Texts::new(), 0);
    block_on(context.restore_tables(&mut |entries| {
        entries.for_each_removed(&mut |_, key| {
            texts.remove(&decode(key)?);
            Ok(())
        })?;
        let mut bytes = 0;
        entries.for_each(&mut |restored| {
            let entry = restored.entry;
            bytes += entry.key.len() + entry.value.len();
            texts.insert(decode(entry.key)?, decode(entry.value)?);
            Ok(())
        })?;
        most = most.max(bytes);
        Ok(())
    }))?;
    let mut once = Texts::new();
    block_on(context.restore_entries(&mut |restored| {
        let entry = restored.entry;
        assert_eq!(once.insert(decode(entry.key)?, decode(entry.value)?), None);
        Ok(())
    }))?;
    assert!(once == texts);
    Ok((texts, most))
}

fn text(number: u64) -> String {
    format!("{number} ").repeat(100)
}

fn full(keys: u64) -> Vec<Change> {
    (0..keys).map(|key| Put(key, text(key))).collect()
}

#[test]
fn a_long_file_is_read_in_ranges_and_handed_out_in_parts() {
    for codec in [Codec::None, Codec::Lz4] {
        let storage = Arc::new(Map::default());
        let handle = write(&storage, "full", HandleKind::Full, codec, &full(1000));
        let context = context(&storage, vec![handle]);
        let (texts, most) = restored(&context).unwrap();
        assert!(texts == (0..1000).map(|key| (key, text(key))).collect());
        assert!(most < 3 * GATHERED, "{most} bytes at once");
        assert_eq!(storage.longest.load(Ordering::SeqCst), RANGE as usize);
        assert_eq!(storage.most_in_flight.load(Ordering::SeqCst), 8);
    }
}

#[test]
fn one_of_many_subtasks_has_less_in_flight() {
    let storage = Arc::new(Map::default());
    let handle = write(&storage, "full", HandleKind::Full, Codec::None, &full(1000));
    for (subtasks, in_flight) in [(4, 8), (8, 4), (16, 2), (128, 2)] {
        let mut context = context(&storage, vec![handle.clone()]);
        context.key_groups = max().range_of(SubtaskIndex(0), subtasks);
        storage.most_in_flight.store(0, Ordering::SeqCst);
        assert!(!restored(&context).unwrap().0.is_empty());
        assert_eq!(storage.most_in_flight.load(Ordering::SeqCst), in_flight);
    }
}

#[test]
fn keys_that_a_long_delta_removes_are_gone_unless_it_has_them_again() {
    let storage = Arc::new(Map::default());
    let mut delta = full(300);
    // Its entries come first, so that whoever took them as they come would lose some.
    delta.extend((0..600).map(Remove));
    delta.extend((200..210).map(|key| Put(key + 1000, "new".to_owned())));
    let mut last = vec![Remove(1), Put(2, "last".to_owned())];
    last.extend((1000..1200).map(Remove));
    let handles = vec![
        write(&storage, "full", HandleKind::Full, Codec::Lz4, &full(1000)),
        write(&storage, "first", HandleKind::Delta, Codec::None, &delta),
        write(&storage, "last", HandleKind::Delta, Codec::Lz4, &last),
    ];
    assert!(handles[1].len > LONG_DELTA, "{handles:?}");
    let (texts, most) = restored(&context(&storage, handles)).unwrap();
    let mut expected: Texts = (0..300).chain(600..1000).map(|key| (key, text(key))).collect();
    expected.extend((1200..1210).map(|key| (key, "new".to_owned())));
    expected.remove(&1);
    expected.insert(2, "last".to_owned());
    assert_eq!(
        texts.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    assert!(texts == expected);
    assert!(most < 3 * GATHERED, "{most} bytes at once");
}

#[test]
fn a_file_that_is_missing_cut_or_altered_is_damage_and_named() {
    let storage = Arc::new(Map::default());
    let handle = write(&storage, "job/full", HandleKind::Full, Codec::None, &full(100));
    let mut others = full(100);
    others.swap(11, 12);
    write(&storage, "job/swapped", HandleKind::Full, Codec::None, &others);
    let object = |name| storage.objects.lock().unwrap()[&StorageKey::new(name).unwrap()].clone();
    let (whole, swapped) = (object("job/full-keyed"), object("job/swapped-keyed"));
    assert!(whole.len() == swapped.len() && whole != swapped);
    let key = StorageKey::new("job/full-keyed").unwrap();
    let len = whole.len();
    let mut turned = whole.to_vec();
    turned[len / 2] ^= 1;
    for (bytes, message) in [
        (None, "a state file is missing"),
        (Some(&whole[..len - 1]), "too short"),
        (Some(&whole[..100]), "too short"),
        (Some(&turned[..]), "checksum"),
        // Every block of it is whole.
        (Some(&swapped[..]), "the checksum of a state file does not match"),
    ] {
        match bytes {
            Some(bytes) => storage
                .objects
                .lock()
                .unwrap()
                .insert(key.clone(), Bytes::copy_from_slice(bytes)),
            None => storage.objects.lock().unwrap().remove(&key),
        };
        let error = restored(&context(&storage, vec![handle.clone()])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}");
        assert!(error.to_string().contains(message), "{message}: {error}");
        assert!(error.to_string().contains("file: job/full-keyed"), "{error}");
    }
}

#[test]
fn the_blocks_of_many_files_come_in_order_and_a_damaged_file_ends_with_its_error() {
    let storage = Arc::new(Map::default());
    let texts = |count: u64| {
        (0..count)
            .map(|key| Put(key, format!("{key:0>50}")))
            .collect::<Vec<_>>()
    };
    let counts = [300, 1, 300, 300, 2];
    let handles: Vec<StateHandle> = (0..)
        .zip(counts)
        .map(|(file, count): (u64, u64)| {
            write(
                &storage,
                &format!("file{file}"),
                HandleKind::Full,
                Codec::None,
                &texts(count),
            )
        })
        .collect();
    assert!(handles[0].len > 2 * RANGE);
    let alter = |handle: &StateHandle, change: fn(&mut Vec<u8>)| {
        let mut objects = storage.objects.lock().unwrap();
        let bytes = objects.get_mut(&StorageKey::new(handle.name()).unwrap()).unwrap();
        let mut altered = bytes.to_vec();
        change(&mut altered);
        *bytes = altered.into();
    };
    let read = || {
        let mut entries = vec![0; handles.len()];
        let mut errors = vec![None; handles.len()];
        let mut blocks = read_blocks_of_all(&*storage, &handles);
        while let Some(block) = block_on(blocks.next()) {
            assert!(errors[block.file].is_none(), "nothing comes after an error");
            assert!(entries[block.file + 1..].iter().all(|count| *count == 0));
            match block.content {
                Ok(Block::Entries { .. }) => entries[block.file] += 1,
                Ok(_) => {}
                Err(error) => errors[block.file] = Some(error),
            }
        }
        (entries, errors)
    };
    assert_eq!(read().0, counts);
    // In a block at the beginning, which the file does not even reach the end of; and at the end.
    alter(&handles[0], |bytes| bytes[200] ^= 1);
    alter(&handles[2], |bytes| _ = bytes.pop());
    let (entries, errors) = read();
    assert!(
        entries[0] < 10 && (200..=300).contains(&entries[2]),
        "{entries:?}"
    );
    assert_eq!([entries[1], entries[3], entries[4]], [1, 300, 2]);
    let damaged: Vec<bool> = errors.iter().map(Option::is_some).collect();
    assert_eq!(damaged, [true, false, true, false, false]);
    for error in errors.into_iter().flatten() {
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        assert!(error.to_string().contains("file: file"), "{error}");
    }
}
