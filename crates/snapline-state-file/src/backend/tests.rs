//! What the suite cannot see: how much memory there is, how the work is spread, and what happens to the folder.

use super::folder::KEPT;
use super::*;
use crate::FileCheckpointStorage;
use futures::executor::block_on;
use futures::future::{join, poll_fn};
use snapline_core::{
    CheckpointId, Clock, ErrorKind, ManualClock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex,
    Timestamp, encode_into,
};
use snapline_state::{
    BlockWriter, CheckpointStorage, Entry, HandleKind, LocalCopies, SnapshotTarget, StateDescriptor,
    StateHandle, StateLocation, StateTtl, StorageKey, TableId, ValueState, block_channel,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::task::{Context, Waker};
use std::time::Duration;
use tempfile::TempDir;

pub(super) type Texts = ValueState<u64, String>;

/// A backend and a storage below one folder.
pub(super) struct Place {
    directory: TempDir,
    memory_bytes: usize,
}

/// In memory where there is such a folder: files are synced, which a test need not wait for.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl Place {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self {
            directory: directory(),
            memory_bytes,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn storage(&self) -> Arc<FileCheckpointStorage> {
        Arc::new(FileCheckpointStorage::open(self.path("checkpoints")).unwrap())
    }

    fn open(&self, restore: &[StateHandle]) -> (Texts, FileKeyedState) {
        self.open_as("texts".into(), restore)
    }

    pub(super) fn backend(&self) -> FileStateBackend {
        FileStateBackend::builder(self.path("state"))
            .memory_bytes(self.memory_bytes)
            .cache_bytes(64 * 1024)
            .build()
    }

    fn open_as(
        &self,
        descriptor: StateDescriptor<String>,
        restore: &[StateHandle],
    ) -> (Texts, FileKeyedState) {
        self.open_on(&self.backend(), descriptor, (restore, None))
    }

    /// Opens what a checkpoint consists of, on which later ones may build if it is named.
    pub(super) fn open_on(
        &self,
        backend: &FileStateBackend,
        descriptor: StateDescriptor<String>,
        (restore, base): (&[StateHandle], Option<CheckpointId>),
    ) -> (Texts, FileKeyedState) {
        self.try_open_on(backend, descriptor, (restore, base)).unwrap()
    }

    pub(super) fn try_open_on(
        &self,
        backend: &FileStateBackend,
        descriptor: StateDescriptor<String>,
        (restore, base): (&[StateHandle], Option<CheckpointId>),
    ) -> Result<(Texts, FileKeyedState)> {
        let max = MaxParallelism::DEFAULT;
        let mut tables = Vec::new();
        let texts = ValueState::register(descriptor, &mut tables, max);
        let context = StateContext {
            operator: OperatorUid::new("op").unwrap(),
            subtask: SubtaskIndex(0),
            max_parallelism: max,
            key_groups: max.full_range(),
            tables,
            restore: restore.to_vec(),
            base,
            storage: self.storage(),
        };
        Ok((texts, block_on(backend.open_keyed(context))?))
    }

    pub(super) fn persist(&self, state: &mut FileKeyedState) -> Vec<StateHandle> {
        self.persist_to(state, self.storage())
    }

    fn persist_to(
        &self,
        state: &mut FileKeyedState,
        storage: Arc<dyn CheckpointStorage>,
    ) -> Vec<StateHandle> {
        persist(
            state,
            &SnapshotTarget::new(storage, StorageKey::new("s").unwrap()),
            (1, None),
        )
        .unwrap()
    }

    fn persist_as(
        &self,
        state: &mut FileKeyedState,
        name: &str,
        checkpoint: u64,
    ) -> Result<Vec<StateHandle>> {
        let target = SnapshotTarget::new(self.storage(), StorageKey::new(name).unwrap());
        persist(state, &target, (checkpoint, None))
    }

    /// The folders of live state whose names begin so.
    pub(super) fn folders(&self, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        paths.filter(is_named).collect()
    }

    fn scratch_folders(&self) -> usize {
        self.folders(SCRATCH).len()
    }
}

fn persist(
    state: &mut FileKeyedState,
    target: &SnapshotTarget,
    (checkpoint, base): (u64, Option<u64>),
) -> Result<Vec<StateHandle>> {
    let snapshot = state.freeze(CheckpointId(checkpoint), base.map(CheckpointId))?;
    let (persisted, advanced) = block_on(join(
        snapshot.persist(target),
        poll_fn(|cx| state.poll_advance(cx)),
    ));
    advanced?;
    persisted
}

fn hash(key: u64) -> u64 {
    StableHasher::new().hash(&key).unwrap()
}

pub(super) fn set(texts: &Texts, state: &mut FileKeyedState, key: u64, text: &str) -> Result<()> {
    texts.update(state, hash(key), key, text.to_owned())
}

pub(super) fn content(texts: &Texts, state: &mut FileKeyedState) -> BTreeMap<u64, String> {
    let mut content = BTreeMap::new();
    let mut table = texts.table(state).unwrap();
    let mut visit = |key: &u64, text: &String| {
        assert_eq!(content.insert(*key, text.clone()), None);
        Ok(())
    };
    table.scan(&mut visit).unwrap();
    content
}

#[test]
fn ten_times_more_state_than_memory_stays_within_the_memory() {
    let place = Place::new(512 * 1024);
    let (texts, mut state) = place.open(&[]);
    let mut expected = BTreeMap::new();
    for number in 0..30_000_u64 {
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 18_000;
        match number % 8 {
            7 => {
                texts.clear(&mut state, hash(key), &key).unwrap();
                expected.remove(&key);
            }
            5 => assert_eq!(
                texts.value(&mut state, hash(key), &key).unwrap().as_ref(),
                expected.get(&key)
            ),
            _ => {
                let text = format!("{number:0>600}");
                set(&texts, &mut state, key, &text).unwrap();
                expected.insert(key, text);
            }
        }
    }
    let size: usize = expected.values().map(String::len).sum();
    assert!(size > 8 * place.memory_bytes, "{size}");
    assert!(state.peak() <= place.memory_bytes, "{}", state.peak());
    assert!(content(&texts, &mut state) == expected);

    let handles = place.persist(&mut state);
    let (texts, mut restored) = place.open(&handles);
    assert!(content(&texts, &mut restored) == expected);
    assert!(restored.peak() <= place.memory_bytes);
}

#[test]
fn the_work_of_a_snapshot_is_spread_over_many_polls() {
    let place = Place::new(64 * 1024 * 1024);
    let (texts, mut state) = place.open(&[]);
    (0..10_000).for_each(|key| set(&texts, &mut state, key, "text").unwrap());
    let _snapshot = state.freeze(CheckpointId(1), None).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls = 1;
    while state.poll_advance(&mut cx).is_pending() {
        polls += 1;
    }
    assert!(polls > 8, "{polls}");
}

#[test]
fn a_snapshot_leaves_no_copy_in_memory() {
    let place = Place::new(1024 * 1024);
    let (texts, mut state) = place.open(&[]);
    (0..5_000).for_each(|key| set(&texts, &mut state, key, &format!("{key:0>50}")).unwrap());
    let copies = Arc::new(LocalCopies::new(place.storage(), ""));
    let handles = place.persist_to(&mut state, copies.clone());
    assert!(matches!(handles[0].location, StateLocation::File { .. }));
    assert_eq!(copies.bytes(), 0);
}

#[test]
fn many_snapshots_of_few_changes_become_few_files_and_each_can_be_restored() {
    let place = Place::new(128 * 1024);
    let (texts, mut state) = place.open(&[]);
    (0..3_000).for_each(|key| set(&texts, &mut state, key, &format!("{key:0>100}")).unwrap());
    let full = place.persist(&mut state);
    for checkpoint in 2..40 {
        for number in 0..20 {
            let key = (checkpoint * 977 + number * 131) % 3_000;
            set(&texts, &mut state, key, &format!("{checkpoint}")).unwrap();
        }
        texts.clear(&mut state, hash(checkpoint), &checkpoint).unwrap();
        let target = SnapshotTarget::new(
            place.storage(),
            StorageKey::new(format!("s{checkpoint}")).unwrap(),
        );
        let handles = persist(&mut state, &target, (checkpoint, Some(checkpoint - 1))).unwrap();
        assert_eq!(handles[0], full[0]);
        assert!(handles.len() <= 13, "{}", handles.len());
        if checkpoint % 6 == 0 {
            let (texts_again, mut restored) = place.open(&handles);
            assert!(content(&texts_again, &mut restored) == content(&texts, &mut state));
        }
    }
}

#[test]
fn a_full_snapshot_is_restored_as_it_comes_and_nothing_is_merged() {
    let place = Place::new(128 * 1024);
    let (texts, mut state) = place.open(&[]);
    let text = |key: u64| format!("{key:0>200}");
    (0..20_000).for_each(|key| set(&texts, &mut state, key, &text(key)).unwrap());
    let handles = place.persist(&mut state);
    state.end();
    let (texts, mut restored) = place.open(&handles);
    let version = restored.version();
    let levels: Vec<_> = version.files().map(|(level, _)| level).collect();
    assert!(levels[0].is_some() && levels.iter().all(|level| *level == levels[0]));
    let expected = (0..20_000).map(|key| (key, text(key))).collect();
    assert!(content(&texts, &mut restored) == expected);
    assert_eq!(texts.value(&mut restored, hash(7), &7).unwrap(), Some(text(7)));
    assert_eq!(texts.value(&mut restored, hash(20_000), &20_000).unwrap(), None);
}

#[test]
fn a_full_snapshot_in_any_order_is_restored() {
    let place = Place::new(128 * 1024);
    let mut tables = Vec::new();
    Texts::register("texts", &mut tables, MaxParallelism::DEFAULT);
    let (sender, blocks) = block_channel();
    let mut writer = BlockWriter::new(sender);
    writer.begin_table(TableId(0), tables[0].meta()).unwrap();
    let expected: BTreeMap<u64, String> = (0..5_000).map(|key| (key, format!("{key:0>30}"))).collect();
    let all = MaxParallelism::DEFAULT.full_range();
    for (key, text) in &expected {
        let (mut payload, mut value, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
        encode_into(key, &mut encoded).unwrap();
        encode_into(text, &mut value).unwrap();
        Entry {
            key: &encoded,
            value: &value,
        }
        .append(&mut payload);
        writer.append(TableId(0), all, 1, &payload);
    }
    writer.finish();
    let target = SnapshotTarget::new(place.storage(), StorageKey::new("s").unwrap());
    let written = target.write_blocks("keyed", blocks, HandleKind::Full, Some(all));
    let handle = block_on(written).unwrap();
    let (texts, mut restored) = place.open(&[handle]);
    assert!(content(&texts, &mut restored) == expected);
    assert_eq!(
        texts.value(&mut restored, hash(7), &7).unwrap().as_ref(),
        expected.get(&7)
    );
}

#[test]
fn an_entry_larger_than_the_memory_is_kept() {
    let place = Place::new(16 * 1024);
    let (texts, mut state) = place.open(&[]);
    let text = "x".repeat(100_000);
    for key in 0..5 {
        set(&texts, &mut state, key, &text).unwrap();
    }
    assert_eq!(
        content(&texts, &mut state),
        (0..5).map(|key| (key, text.clone())).collect()
    );
}

#[test]
fn the_scratch_folder_goes_with_the_state_and_its_snapshots() {
    let place = Place::new(1024 * 1024);
    let (texts, mut state) = place.open(&[]);
    set(&texts, &mut state, 1, "one").unwrap();
    let handles = place.persist(&mut state);
    let (_, second) = place.open(&handles);
    assert_eq!(place.scratch_folders(), 2);
    for state in [state, second] {
        state.end();
    }
    assert_eq!(place.scratch_folders(), 0);
}

fn write_until_it_fails(
    texts: &Texts,
    state: &mut FileKeyedState,
    written: &mut u64,
) -> snapline_core::Error {
    for key in *written.. {
        if let Err(error) = set(texts, state, key, &"text".repeat(50)) {
            return error;
        }
        *written = key + 1;
    }
    unreachable!("the disk does not fail")
}

#[test]
fn a_disk_that_fails_is_unavailable_and_no_write_is_lost() {
    let place = Place::new(256 * 1024);
    let (texts, mut state) = place.open(&[]);
    let files = place.folders(SCRATCH).remove(0);
    let away = files.with_file_name("away");
    let mut written = 0;
    fs::rename(&files, &away).unwrap();
    for _ in 0..3 {
        let error = write_until_it_fails(&texts, &mut state, &mut written);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        let folder = Path::new("state").join("snapline-state-");
        assert!(text.contains(folder.to_str().unwrap()), "{text}");
        assert!(text.contains("FileStateBackend::builder"), "{text}");
        assert_eq!(
            texts.value(&mut state, hash(0), &0).unwrap().unwrap(),
            "text".repeat(50)
        );
    }
    let snapshot = state.freeze(CheckpointId(1), None).unwrap();
    let target = SnapshotTarget::new(place.storage(), StorageKey::new("failed").unwrap());
    let (persisted, _) = block_on(join(
        snapshot.persist(&target),
        poll_fn(|cx| state.poll_advance(cx)),
    ));
    assert_eq!(persisted.unwrap_err().kind(), ErrorKind::Unavailable);

    fs::rename(&away, &files).unwrap();
    let until = written + 2_000;
    for key in written..until {
        set(&texts, &mut state, key, &"text".repeat(50)).unwrap();
    }
    let handles = place.persist(&mut state);
    let expected = (0..until).map(|key| (key, "text".repeat(50))).collect();
    assert!(content(&texts, &mut state) == expected);
    let (texts, mut restored) = place.open(&handles);
    assert!(content(&texts, &mut restored) == expected);
}

/// Writes, reads and checkpoints while there is room for so many writes to the disk, then has room again. Says
/// whether there was not enough.
fn run_short_of_disk(place: &Place, backend: &FileStateBackend, writes: u64) -> bool {
    let (texts, mut state) = place.open_on(backend, "texts".into(), (&[], None));
    let text = |key: u64, round: u64| format!("{round}{key:0>200}");
    let mut expected = BTreeMap::new();
    let older = place.persist_as(&mut state, "older", 1).unwrap();
    state.disk().set_room(writes);
    for (number, key) in (0..2_000_u64).map(|number| (number, number % 700)) {
        match set(&texts, &mut state, key, &text(key, number)) {
            Ok(()) => _ = expected.insert(key, text(key, number)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("is full; make room"), "{error}");
                // The entry is as it was before.
                let found = texts.value(&mut state, hash(key), &key).unwrap();
                assert_eq!(found.as_ref(), expected.get(&key));
            }
        }
    }
    let persisted = place.persist_as(&mut state, "short", 2);
    let was_short = state.disk().room() == 0;
    assert!(persisted.is_ok() || was_short);
    state.disk().set_room(u64::MAX);
    let handles = place.persist_as(&mut state, "newer", 3).unwrap();
    assert!(content(&texts, &mut state) == expected);
    state.end();
    for (handles, expected) in [(older, BTreeMap::new()), (handles, expected)] {
        let (texts, mut state) = place.open_on(backend, "texts".into(), (&handles, None));
        assert!(content(&texts, &mut state) == expected);
        state.end();
    }
    was_short
}

#[test]
fn a_disk_that_is_full_at_any_write_says_so_and_no_entry_and_no_checkpoint_is_lost() {
    let place = Place::new(192 * 1024);
    let backend = place.backend();
    let until = (0..).find(|writes| !run_short_of_disk(&place, &backend, *writes));
    assert!(until > Some(20), "{until:?}");
}

#[test]
fn files_that_are_kept_for_a_restart_make_room_on_a_full_disk() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (texts, mut state) = place.open_on(&backend, "texts".into(), (&[], None));
    (0..2_000).for_each(|key| set(&texts, &mut state, key, &"text".repeat(50)).unwrap());
    place.persist(&mut state);
    let sets = || fs::read_dir(&place.folders(KEPT)[0]).unwrap().count();
    let kept = sets();
    state.disk().set_room(0);
    while set(&texts, &mut state, 1, "text").is_ok() && sets() == kept {
        place.persist_as(&mut state, "failed", 2).unwrap_err();
    }
    assert_eq!(sets(), kept - 1);
}

#[test]
fn a_full_snapshot_leaves_out_what_has_expired() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let ttl = StateTtl::new(Duration::from_secs(10));
    let mortal = StateDescriptor::new("texts").time_to_live(ttl, clock.clone() as Arc<dyn Clock>);
    let place = Place::new(1024 * 1024);
    let (texts, mut state) = place.open_as(mortal, &[]);
    (0..2_000).for_each(|key| set(&texts, &mut state, key, "text").unwrap());
    let size = |handles: Vec<StateHandle>| handles.iter().map(|handle| handle.len).sum::<u64>();
    let first = size(place.persist(&mut state));
    clock.advance(Duration::from_secs(10));
    let full = size(place.persist(&mut state));
    assert!(full * 10 < first, "{full} of {first} bytes");
}
