//! The conformance suite on several stores, and what is special about object stores.

use super::ObjectCheckpointStorage;
use crate::Retries;
use crate::double::{Double, Flaw, paths};
use bytes::Bytes;
use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use snapline_core::{Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, Created, StorageKey, Stored};
use snapline_testkit::checkpoint_storage::Subject;
use snapline_testkit::fault::{Operation, Schedule};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

snapline_testkit::checkpoint_storage_suite!(memory, open("memory:///prefix"));

snapline_testkit::checkpoint_storage_suite!(directory, {
    let directory = TempDir::new().unwrap();
    let url = format!("file://{}", directory.path().display());
    let open = move || {
        let _owned = &directory;
        block_on(ObjectCheckpointStorage::builder(&url).part_size(100_000).build()).unwrap()
    };
    Subject::new(open()).reopened_by(open)
});

snapline_testkit::checkpoint_storage_suite!(alone, {
    let store = Double::with(Flaw::IgnoresTheCondition);
    block_on(ObjectCheckpointStorage::over(store, "").single_writer().build()).unwrap()
});

snapline_testkit::checkpoint_storage_suite!(
    one_in_ten_requests_fails,
    shared(Flaw::Fails(Schedule::seeded(7, 10)))
);

snapline_testkit::checkpoint_storage_suite!(
    one_in_ten_answers_is_lost,
    shared(Flaw::LosesAnswers(Schedule::seeded(8, 10).only([
        Operation::Create,
        Operation::Get,
        Operation::Delete
    ])))
);

/// A double behind handles that retry soon, with parts so small that there are many.
fn shared(flaw: Flaw) -> Subject {
    let store = Double::with(Flaw::None);
    let open = {
        let store = store.clone();
        move || over(&store)
    };
    let subject = Subject::new(open()).reopened_by(open);
    store.become_(flaw);
    subject
}

fn open(url: &str) -> ObjectCheckpointStorage {
    block_on(ObjectCheckpointStorage::open(url)).unwrap()
}

fn over(store: &Arc<Double>) -> ObjectCheckpointStorage {
    let builder = ObjectCheckpointStorage::over(store.clone(), "some/prefix").parts(store.clone());
    let builder = builder.part_size(20_000).concurrency(3).retries(soon());
    block_on(builder.build()).unwrap()
}

fn soon() -> Retries {
    Retries::within(Duration::from_secs(20)).delays(Duration::from_millis(1), Duration::from_millis(5))
}

fn key(name: &str) -> StorageKey {
    StorageKey::new(name).unwrap()
}

fn put(storage: &ObjectCheckpointStorage, name: &str, content: Bytes) -> Result<Stored> {
    block_on(storage.put(&key(name), futures::stream::iter([Ok(content)]).boxed()))
}

fn get(storage: &ObjectCheckpointStorage, name: &str) -> Option<Bytes> {
    block_on(storage.get(&key(name), None)).unwrap()
}

fn content(len: usize) -> Bytes {
    (0..len).map(|index| ((index * 31) >> 3) as u8).collect()
}

#[test]
fn a_store_without_sound_conditional_creates_is_refused_unless_there_is_one_writer() {
    let cases = [
        (Flaw::IgnoresTheCondition, "16 of 16 racing writers won"),
        (Flaw::RefusesTheCondition, "refuses the condition"),
        (Flaw::LetsWin(2), "2 of 16 racing writers won"),
        (Flaw::LosersReplace, "a writer that lost has replaced the object"),
    ];
    for (flaw, found) in cases {
        let store = Double::with(flaw.clone());
        let error = block_on(ObjectCheckpointStorage::over(store.clone(), "").build()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
        assert!(
            text.contains(found) && text.contains("single_writer()"),
            "{flaw:?}: {text}"
        );
        assert_eq!(paths(&store.inner), [""; 0]);

        let alone = ObjectCheckpointStorage::over(store.clone(), "").single_writer();
        let storage = block_on(alone.build()).unwrap();
        assert!(!storage.capability().conditional_create);
        let create = |bytes: &'static str| block_on(storage.create(&key("a"), bytes.into())).unwrap();
        assert_eq!(create("one"), Created::New);
        assert_eq!(create("one"), Created::New);
        assert_eq!(create("two"), Created::AlreadyExists("one".into()));
    }
}

#[test]
fn a_store_that_lets_nobody_win_or_does_not_answer_is_unavailable() {
    for flaw in [Flaw::NoOneWins, Flaw::Fails(Schedule::from(0))] {
        let store = Double::with(flaw);
        let builder = ObjectCheckpointStorage::over(store, "").retries(Retries::none());
        assert_eq!(
            block_on(builder.build()).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
}

#[test]
fn the_check_at_the_opening_leaves_nothing_and_touches_nothing_else() {
    let store = Double::with(Flaw::None);
    let foreign = ["some/prefix/.snapline-probe-0", "some/prefix/job/a", "some/other"];
    for path in foreign {
        block_on(store.inner.put(&Path::from(path), "foreign".into())).unwrap();
    }
    let storage = over(&store);
    let mut left = paths(&store.inner);
    left.sort_unstable();
    assert_eq!(left, ["some/other", foreign[0], foreign[1]]);
    assert_eq!(block_on(storage.list("", None)).unwrap(), [key("job/a")]);
}

#[test]
fn a_storage_for_reading_needs_no_right_to_write_and_takes_nothing() {
    let store = Double::with(Flaw::None);
    put(&over(&store), "a", content(50_000)).unwrap();
    let writes = [Operation::Create, Operation::Put, Operation::Delete];
    store.become_(Flaw::Fails(Schedule::from(0).only(writes)));

    let builder = ObjectCheckpointStorage::over(store.clone(), "some/prefix").read_only();
    let storage = block_on(builder.build()).unwrap();
    assert_eq!(get(&storage, "a"), Some(content(50_000)));
    assert_eq!(block_on(storage.list("", None)).unwrap(), [key("a")]);
    let refused = [
        block_on(storage.create(&key("b"), "b".into())).err(),
        put(&storage, "b", "b".into()).err(),
        block_on(storage.delete(&[key("a")])).err(),
    ];
    for error in refused {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Unsupported));
    }
}

#[test]
fn wrong_settings_are_told_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let below_file = format!("file://{}/below", file.display());
    let cases = [
        ("bucket/prefix", "no valid URL"),
        ("ftp://bucket/prefix", "feature `aws`"),
        ("s3:///prefix", "names no bucket"),
        (
            "s3://bucket/prefix?region=x",
            "as options or environment variables",
        ),
        #[cfg(not(feature = "aws"))]
        ("s3://bucket/prefix", "enable the feature `aws`"),
        #[cfg(not(feature = "gcp"))]
        ("gs://bucket/prefix", "enable the feature `gcp`"),
        #[cfg(not(feature = "azure"))]
        ("az://container/prefix", "enable the feature `azure`"),
        ("file://relative/path", "three slashes"),
        (below_file.as_str(), "cannot create the directory"),
    ];
    for (url, advice) in cases {
        let error = block_on(ObjectCheckpointStorage::open(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}: {error}");
        assert!(error.to_string().contains(advice), "{url}: {error}");
    }
    for builder in [
        ObjectCheckpointStorage::builder("memory:///").part_size(0),
        ObjectCheckpointStorage::builder("memory:///").concurrency(0),
        ObjectCheckpointStorage::builder("memory:///").option("region", "here"),
    ] {
        assert_eq!(block_on(builder.build()).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn refused_credentials_are_invalid_when_opening_and_may_be_mended_later() {
    let store = Double::with(Flaw::None);
    let storage = over(&store);
    store.become_(Flaw::RefusesCredentials);
    let error = put(&storage, "a", content(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("refuses the credentials"), "{error}");
    let error = block_on(ObjectCheckpointStorage::over(store.clone(), "").build()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    store.become_(Flaw::None);
    put(&storage, "a", content(1)).unwrap();
}

#[test]
fn parts_are_in_flight_together_but_not_more_than_allowed() {
    let store = Double::with(Flaw::None);
    let storage = over(&store);
    store.become_(Flaw::PartsMeet(Arc::new(tokio::sync::Barrier::new(3))));
    put(&storage, "a", content(180_000)).unwrap();
    assert_eq!(store.seen.parts.load(Ordering::SeqCst), 9);
    assert_eq!(store.seen.most_in_flight.load(Ordering::SeqCst), 3);
}

#[test]
fn long_content_goes_and_comes_in_parts() {
    // With parts of 20,000 bytes: the last full part is not known to be the last before the content ends.
    for (len, parts) in [(0, 0), (20_000, 0), (20_001, 2), (100_000, 5), (399_999, 20)] {
        let store = Double::with(Flaw::None);
        let storage = over(&store);
        let whole = content(len);
        let stored = put(&storage, "a", whole.clone()).unwrap();
        assert_eq!(stored.checksum, crc32c::crc32c(&whole));
        assert!(get(&storage, "a") == Some(whole), "{len}");
        assert_eq!(store.seen.parts.load(Ordering::SeqCst), parts, "{len}");
        assert!(store.seen.longest_read.load(Ordering::SeqCst) <= 20_000);
    }
}

#[test]
fn an_upload_that_fails_or_is_dropped_is_taken_back() {
    let store = Double::with(Flaw::None);
    let storage = over(&store);
    let pieces = [Ok(content(90_000)), Err(Error::cancelled("given up"))];
    let outcome = block_on(storage.put(&key("a"), futures::stream::iter(pieces).boxed()));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);

    let endless = futures::stream::iter([Ok(content(90_000))]).chain(futures::stream::pending());
    let name = key("a");
    let mut put = storage.put(&name, endless.boxed());
    while store.seen.parts.load(Ordering::SeqCst) < 8 {
        assert!(put.as_mut().now_or_never().is_none());
    }
    drop(put);
    assert_eq!(get(&storage, "a"), None);
    let seen = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
    drop(storage);
    while seen(&store.seen.aborted) < 2 {
        std::thread::yield_now();
    }
    assert_eq!((seen(&store.seen.begun), seen(&store.seen.completed)), (2, 0));
}

#[test]
fn a_create_whose_answer_was_lost_is_a_success_when_called_again() {
    let store = Double::with(Flaw::None);
    let builder = ObjectCheckpointStorage::over(store.clone(), "").retries(Retries::none());
    let storage = block_on(builder.build()).unwrap();
    store.become_(Flaw::LosesAnswers(Schedule::calls([0])));
    let create = |bytes: &'static str| block_on(storage.create(&key("a"), bytes.into()));
    assert_eq!(create("one").unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(create("one").unwrap(), Created::New);
    assert_eq!(create("two").unwrap(), Created::AlreadyExists("one".into()));
}

#[test]
fn an_outage_costs_time_and_a_longer_one_is_unavailable() {
    let store = Double::with(Flaw::None);
    let retries = soon();
    let builder = ObjectCheckpointStorage::over(store.clone(), "")
        .parts(store.clone())
        .part_size(10);
    let storage = block_on(builder.retries(retries).build()).unwrap();
    store.become_(Flaw::Fails(Schedule::calls(0..30)));
    put(&storage, "a", content(100)).unwrap();
    assert_eq!(get(&storage, "a"), Some(content(100)));

    let short = Retries::within(Duration::from_millis(50)).delays(retries.first_delay, retries.longest_delay);
    let builder = ObjectCheckpointStorage::over(store.clone(), "").retries(short);
    let storage = block_on(builder.build()).unwrap();
    store.become_(Flaw::Fails(Schedule::from(0)));
    let name = key("a");
    let outcomes = [
        put(&storage, "a", content(1)).map(drop),
        block_on(storage.create(&name, content(1))).map(drop),
        block_on(storage.get(&name, None)).map(drop),
        block_on(storage.list("", None)).map(drop),
        block_on(storage.delete(std::slice::from_ref(&name))),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_read_whole() {
    let store = Double::with(Flaw::None);
    let storage = over(&store);
    put(&storage, "a", content(100_000)).unwrap();
    let other = Bytes::from(vec![7; 70_000]);
    store.become_(Flaw::ReplacedWhileRead(other.clone()));
    assert!(get(&storage, "a") == Some(other));
}

#[test]
fn a_key_that_is_an_object_and_a_folder_is_a_clear_error_in_a_directory() {
    let directory = TempDir::new().unwrap();
    let storage = open(&format!("file://{}/not/there/yet", directory.path().display()));
    put(&storage, "a/b", content(1)).unwrap();
    let error = put(&storage, "a/b/c", content(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(
        error.to_string().contains("an object and a folder at once"),
        "{error}"
    );
    let read = std::fs::read(directory.path().join("not/there/yet/a/b"));
    assert_eq!(read.unwrap(), content(1));
}

#[test]
fn an_object_of_too_many_parts_is_a_clear_error() {
    let storage = ObjectCheckpointStorage::builder("memory:///").part_size(1);
    let storage = block_on(storage.build()).unwrap();
    assert_eq!(storage.capability().max_object_len, 10_000);
    put(&storage, "a", content(10_000)).unwrap();
    let error = put(&storage, "b", content(10_001)).unwrap_err();
    assert!(error.to_string().contains("raise the part size"), "{error}");
}
