//! What stays in memory of what was written, on a storage that can be looked into.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use snapline_core::{Codec, ErrorKind, KeyGroupRange, Result};
use snapline_state::{
    BlockReader, BlockWriter, ByteStream, CheckpointStorage, Created, Entry, HandleKind, LocalCopies,
    SnapshotTarget, StateHandle, StorageCapability, StorageKey, Stored, TableId, TableMeta, block_channel,
};
use snapline_state_memory::MemoryCheckpointStorage;
use snapline_testkit::checkpoint_storage::Subject;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

snapline_testkit::checkpoint_storage_suite!(suite, {
    let storage = MemoryCheckpointStorage::new();
    let copies = move || LocalCopies::new(Arc::new(storage.clone()), "");
    Subject::new(copies()).reopened_by(copies)
});

const LEN: usize = 100_000;

fn key(text: &str) -> StorageKey {
    StorageKey::new(text).unwrap()
}

/// Writes a state of many pieces under `job/checkpoint/{name}-state`.
fn write(storage: &Arc<LocalCopies>, name: &str) -> StateHandle {
    let target = SnapshotTarget::new(storage.clone(), key(&format!("job/checkpoint/{name}")));
    let piece = |number: u8| Ok(Bytes::from(vec![number; LEN / 10]));
    let content = stream::iter((0..10).map(piece)).boxed();
    block_on(target.write("state", content, HandleKind::Full, None)).unwrap()
}

fn reads(storage: &Arc<LocalCopies>, handle: &StateHandle) -> Result<usize> {
    let pieces = block_on(handle.read_pieces(&**storage))?;
    assert_eq!(
        block_on(handle.read(&**storage)).unwrap(),
        pieces.clone().into_bytes()
    );
    Ok(pieces.len())
}

fn copies(storage: impl CheckpointStorage) -> Arc<LocalCopies> {
    Arc::new(LocalCopies::new(Arc::new(storage), "job/checkpoint/"))
}

#[test]
fn a_copy_is_read_instead_of_the_storage_until_it_is_not_retained() {
    let storage = Watched::default();
    let (gets, copies) = (storage.gets.clone(), copies(storage));
    let (old, new) = (write(&copies, "1"), write(&copies, "2"));
    assert_eq!(copies.bytes(), 2 * LEN as u64);
    assert!(old.is_local(&*copies) && new.is_local(&*copies));
    assert_eq!(
        (reads(&copies, &old).unwrap(), reads(&copies, &new).unwrap()),
        (LEN, LEN)
    );
    assert_eq!(gets.load(Ordering::SeqCst), 0);

    copies.retain(|kept| *kept == key("job/checkpoint/2-state"));
    assert_eq!(copies.bytes(), LEN as u64);
    assert!(!old.is_local(&*copies) && new.is_local(&*copies));
    assert_eq!(
        (reads(&copies, &old).unwrap(), reads(&copies, &new).unwrap()),
        (LEN, LEN)
    );
    assert_eq!(gets.load(Ordering::SeqCst), 2);
}

#[test]
fn a_copy_of_compressed_state_is_what_was_written_and_the_file_is_shorter() {
    let copies = copies(Watched::default());
    let target = SnapshotTarget::new(copies.clone(), key("job/checkpoint/1")).compressed_by(Codec::Lz4);
    let (sender, blocks) = block_channel();
    let mut writer = BlockWriter::new(sender);
    let meta = TableMeta {
        name: "counts".to_owned(),
        version: 1,
        key_type: "u64".to_owned(),
        key_version: 1,
        value_type: "u64".to_owned(),
        schema: None,
    };
    writer.begin_table(TableId(0), &meta).unwrap();
    for number in 0..10_000_u64 {
        let (key, value) = (number.to_le_bytes(), number.to_le_bytes().repeat(12));
        let entry = Entry {
            key: &key,
            value: &value,
        };
        let mut payload = Vec::new();
        entry.append(&mut payload);
        writer.append(TableId(0), KeyGroupRange::new(0, 1), 1, &payload);
    }
    writer.finish();
    let handle = block_on(target.write_blocks("state", blocks, HandleKind::Full, None)).unwrap();
    let plain = block_on(handle.read_pieces(&*copies)).unwrap();
    assert_eq!(copies.bytes(), plain.len() as u64);
    assert!(handle.len * 3 < copies.bytes(), "{handle:?}");
    copies.retain(|_| false);
    let stored = block_on(handle.read_pieces(&*copies)).unwrap();
    assert_eq!(stored.len() as u64, handle.len);
    let blocks = |file| {
        BlockReader::of_checked(file)
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    };
    assert_eq!(blocks(stored), blocks(plain));
}

#[test]
fn a_deleted_object_leaves_no_copy_and_other_folders_are_not_copied() {
    let copies = copies(Watched::default());
    let handle = write(&copies, "1");
    block_on(copies.delete(&[key("job/checkpoint/1-state")])).unwrap();
    let content = stream::iter([Ok(Bytes::from_static(b"x"))]).boxed();
    block_on(copies.put(&key("savepoint/1-state"), content)).unwrap();
    assert_eq!(copies.bytes(), 0);
    assert_eq!(reads(&copies, &handle).unwrap_err().kind(), ErrorKind::Corrupted);
}

#[test]
fn an_object_that_could_not_be_stored_leaves_no_copy() {
    let copies = copies(Watched::default());
    let content = [
        Ok(Bytes::from_static(b"x")),
        Err(snapline_core::Error::cancelled("no")),
    ];
    let key = key("job/checkpoint/1");
    block_on(copies.put(&key, stream::iter(content).boxed())).unwrap_err();
    assert_eq!(copies.bytes(), 0);
}

#[test]
fn a_copy_of_something_else_is_not_used() {
    let copies = copies(Watched::default());
    let handle = write(&copies, "1");
    let others = [
        StateHandle {
            len: handle.len - 1,
            ..handle.clone()
        },
        StateHandle {
            checksum: !handle.checksum,
            ..handle
        },
    ];
    for other in others {
        assert!(!other.is_local(&*copies));
        assert_eq!(reads(&copies, &other).unwrap_err().kind(), ErrorKind::Corrupted);
    }
}

#[test]
fn a_damaged_copy_is_told_in_the_log_and_the_storage_is_read() {
    // What is stored has its first byte turned over, and so the copy is not what the handle is about.
    let copies = copies(Watched {
        turns: true,
        ..Watched::default()
    });
    let handle = write(&copies, "1");
    assert!(handle.is_local(&*copies));
    let (log, subscriber) = log::recorder();
    tracing::subscriber::with_default(subscriber, || {
        let read = block_on(handle.read(&*copies)).unwrap();
        assert_eq!((read.len(), read[0]), (LEN, !0));
    });
    let told = log.lock().unwrap().join("\n");
    assert!(
        told.contains("damaged") && told.contains("job/checkpoint/1-state"),
        "{told}"
    );
    assert!(!handle.is_local(&*copies), "a damaged copy counts no more");
    assert_eq!(copies.bytes(), 0);
}

/// A storage that counts what is read, and perhaps changes what it is given.
#[derive(Debug, Default)]
struct Watched {
    storage: MemoryCheckpointStorage,
    gets: Arc<AtomicU64>,
    turns: bool,
}

#[async_trait::async_trait]
impl CheckpointStorage for Watched {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.storage.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let mut turns = self.turns;
        let turned = move |piece: Result<Bytes>| {
            let mut piece = piece?.to_vec();
            if std::mem::take(&mut turns) {
                piece[0] = !piece[0];
            }
            Ok(piece.into())
        };
        self.storage.put(key, content.map(turned).boxed()).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.storage.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.storage.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.storage.delete(keys).await
    }
}

/// A log that can be read.
mod log {
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    pub(super) type Lines = Arc<Mutex<Vec<String>>>;

    pub(super) fn recorder() -> (Lines, impl Subscriber) {
        let lines = Lines::default();
        (lines.clone(), Recorder(lines))
    }

    struct Recorder(Lines);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, "{field}: {value:?} ").unwrap();
        }
    }

    impl Subscriber for Recorder {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }
}
