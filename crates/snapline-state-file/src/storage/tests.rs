//! The conformance suite, and what is special about files.

use super::FileCheckpointStorage;
use bytes::Bytes;
use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use snapline_core::{Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, StorageKey, Stored};
use snapline_testkit::checkpoint_storage::Subject;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

snapline_testkit::checkpoint_storage_suite!(suite, {
    let directory = TempDir::new().unwrap();
    let open = move || FileCheckpointStorage::open(directory.path()).unwrap();
    Subject::new(open()).reopened_by(open)
});

fn key(name: &str) -> StorageKey {
    StorageKey::new(name).unwrap()
}

fn put(storage: &FileCheckpointStorage, name: &str, content: &'static str) -> Result<Stored> {
    let content = futures::stream::iter([Ok(Bytes::from(content))]).boxed();
    block_on(storage.put(&key(name), content))
}

/// The files in the folder for unfinished files, but for the lock.
fn unfinished(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(".tmp")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock").collect()
}

#[test]
fn a_key_is_the_path_of_a_file() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("not/there/yet");
    let storage = FileCheckpointStorage::open(&root).unwrap();
    assert_eq!(storage.location(), root.display().to_string());
    put(&storage, "job/epoch/1.json", "{}").unwrap();
    assert_eq!(fs::read(root.join("job/epoch/1.json")).unwrap(), b"{}");
    assert_eq!(unfinished(&root), [""; 0]);
}

#[test]
fn the_folders_of_deleted_objects_do_not_pile_up() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    for name in ["job/checkpoint/a1-e1/x", "job/checkpoint/a1-e2/x"] {
        put(&storage, name, "content").unwrap();
    }
    block_on(storage.delete(&[key("job/checkpoint/a1-e1/x")])).unwrap();
    assert!(!directory.path().join("job/checkpoint/a1-e1").exists());
    assert!(directory.path().join("job/checkpoint/a1-e2").exists());
    block_on(storage.delete(&[key("job/checkpoint/a1-e2/x")])).unwrap();
    assert!(!directory.path().join("job").exists());
    put(&storage, "job/checkpoint/a1-e2/x", "content").unwrap();
}

#[test]
fn what_is_not_the_storages_is_not_listed_and_not_touched() {
    let directory = TempDir::new().unwrap();
    let foreign = ["lost+found", ".hidden", "with space"];
    for name in foreign {
        fs::write(directory.path().join(name), "foreign").unwrap();
    }
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    assert_eq!(block_on(storage.list("", None)).unwrap(), []);
    drop(storage);
    FileCheckpointStorage::open(directory.path()).unwrap();
    for name in foreign {
        assert!(directory.path().join(name).exists(), "{name}");
    }
}

#[test]
fn what_a_crash_left_half_written_is_invisible_and_removed_at_the_next_start() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    drop(FileCheckpointStorage::open(root).unwrap());
    fs::write(root.join(".tmp/4711-0"), "half-writ").unwrap();
    fs::write(root.join(format!(".tmp/{}-999999", std::process::id())), "").unwrap();
    let storage = FileCheckpointStorage::open(root).unwrap();
    assert_eq!(block_on(storage.list("", None)).unwrap(), []);
    assert_eq!(unfinished(root), [""; 0]);
}

#[test]
fn what_another_process_is_writing_is_not_removed() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    let writer = FileCheckpointStorage::open(root).unwrap();
    let (more, content) = futures::channel::mpsc::unbounded();
    more.unbounded_send(Ok(Bytes::from("first, "))).unwrap();
    let name = key("object");
    let mut put = writer.put(&name, content.boxed());
    while unfinished(root).is_empty() {
        assert!(put.as_mut().now_or_never().is_none());
    }
    let other = FileCheckpointStorage::open(root).unwrap();
    assert_eq!(unfinished(root).len(), 1);
    more.unbounded_send(Ok(Bytes::from("second"))).unwrap();
    drop(more);
    assert_eq!(block_on(put).unwrap().len, 13);
    let read = block_on(other.get(&name, None)).unwrap();
    assert_eq!(read.as_deref(), Some(&b"first, second"[..]));
}

#[test]
fn a_dropped_or_failed_put_leaves_no_unfinished_file() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    let failing = futures::stream::iter([Ok(Bytes::from("some")), Err(Error::cancelled("given up"))]);
    assert!(block_on(storage.put(&key("a"), failing.boxed())).is_err());
    assert_eq!(unfinished(directory.path()), [""; 0]);

    let name = key("a");
    let mut put = storage.put(&name, futures::stream::pending().boxed());
    while unfinished(directory.path()).is_empty() {
        assert!(put.as_mut().now_or_never().is_none());
    }
    drop(put);
    // The thread has nothing left to do once it has answered this.
    assert_eq!(block_on(storage.list("", None)).unwrap(), []);
    assert_eq!(unfinished(directory.path()), [""; 0]);
}

#[test]
fn a_key_that_is_an_object_and_a_folder_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    put(&storage, "a/b", "content").unwrap();
    for outcome in [
        put(&storage, "a", "content").map(drop),
        put(&storage, "a/b/c", "content").map(drop),
        block_on(storage.create(&key("a"), "content".into())).map(drop),
        block_on(storage.create(&key("a/b/c/d"), "content".into())).map(drop),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.context("path").is_some());
    }
    assert_eq!(unfinished(directory.path()), [""; 0]);
}

#[test]
fn a_key_that_is_too_long_for_the_file_system_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    let long = vec!["x".repeat(200); 30].join("/");
    assert_eq!(
        put(&storage, &long, "content").unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn a_directory_that_was_removed_is_unavailable() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    put(&storage, "a", "content").unwrap();
    fs::remove_dir_all(directory.path()).unwrap();
    let error = put(&storage, "a", "content").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("path"), Some(storage.location().as_str()));
    assert_eq!(block_on(storage.get(&key("a"), None)).unwrap(), None);
}

#[test]
fn a_directory_that_cannot_be_used_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "content").unwrap();
    let cases = [
        (file.clone(), "a file"),
        (file.join("below/it"), "a file"),
        (directory.path().join("x".repeat(300)), "cannot be created"),
        ("".into(), "no valid path"),
        #[cfg(target_os = "linux")]
        ("/proc/snapline".into(), "cannot be created"),
    ];
    for (path, reason) in cases {
        let error = FileCheckpointStorage::open(&path).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(
            text.contains(reason) && text.contains(&path.display().to_string()),
            "{text}"
        );
    }
}

#[test]
fn a_directory_that_is_only_read_stays_as_it_was() {
    let directory = TempDir::new().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("job")).unwrap();
    fs::write(root.join("job/a"), "content").unwrap();
    fs::create_dir(root.join(".tmp")).unwrap();
    fs::write(root.join(".tmp/4711-0"), "of a writer").unwrap();
    let storage = FileCheckpointStorage::open_read_only(root).unwrap();
    assert_eq!(block_on(storage.list("", None)).unwrap(), [key("job/a")]);
    let read = block_on(storage.get(&key("job/a"), Some(0..4))).unwrap();
    assert_eq!(read.as_deref(), Some(&b"cont"[..]));
    for outcome in [
        put(&storage, "job/b", "content").map(drop),
        block_on(storage.create(&key("job/b"), "content".into())).map(drop),
        block_on(storage.delete(&[key("job/a")])),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(
            error.to_string().contains("FileCheckpointStorage::open"),
            "{error}"
        );
    }
    let left = |folder: &str| fs::read_dir(root.join(folder)).unwrap().count();
    assert_eq!((left(""), left("job"), left(".tmp")), (2, 1, 1));
}

#[test]
fn a_directory_that_cannot_be_read_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "content").unwrap();
    let missing = directory.path().join("missing");
    for (path, reason) in [(file, "a file"), (missing.clone(), "no such")] {
        let error = FileCheckpointStorage::open_read_only(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(!missing.exists());
}

/// Runs itself again in a process that may write only small files, for want of a full disk.
#[test]
#[cfg(unix)]
fn a_disk_that_takes_no_more_is_unavailable_and_nothing_is_left() {
    let name = "storage::tests::a_disk_that_takes_no_more_is_unavailable_and_nothing_is_left";
    if std::env::var_os("SNAPLINE_SMALL_FILES").is_some() {
        return check_that_large_objects_fail();
    }
    let child = std::process::Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 8; exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("SNAPLINE_SMALL_FILES", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
fn check_that_large_objects_fail() {
    let directory = TempDir::new().unwrap();
    let storage = FileCheckpointStorage::open(directory.path()).unwrap();
    put(&storage, "object", "old").unwrap();
    let large: &str = Box::leak("large".repeat(100_000).into_boxed_str());
    for outcome in [
        put(&storage, "object", large).map(drop),
        block_on(storage.create(&key("created"), large.into())).map(drop),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.context("path").is_some());
    }
    let read = block_on(storage.get(&key("object"), None)).unwrap();
    assert_eq!(read.as_deref(), Some(&b"old"[..]));
    assert_eq!(block_on(storage.list("", None)).unwrap(), [key("object")]);
    assert_eq!(unfinished(directory.path()), [""; 0]);
}
