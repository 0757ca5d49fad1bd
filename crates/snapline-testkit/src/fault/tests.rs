//! Each fault does what it says, and nothing else.

use super::{Amnesiac, Flaky, Lying, Operation, Schedule, Torn};
use crate::checkpoint_storage::double::Double;
use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use snapline_core::{ErrorKind, Result};
use snapline_state::{CheckpointStorage, Created, StorageKey, Stored};

// Without faults the decorators are as good as what they wrap.
crate::checkpoint_storage_suite!(flaky_never, Flaky::new(Double::sound(), Schedule::never()));
crate::checkpoint_storage_suite!(lying_never, Lying::new(Double::sound(), Schedule::never()));
crate::checkpoint_storage_suite!(torn_never, Torn::new(Double::sound(), Schedule::never()));
crate::checkpoint_storage_suite!(amnesiac_never, Amnesiac::new(Double::sound(), Schedule::never()));

#[test]
fn a_flaky_call_fails_and_does_nothing() {
    let storage = Flaky::new(Double::sound(), Schedule::calls([0, 2]));
    assert_unavailable(create(&storage, "a", "1"));
    assert_eq!(create(&storage, "a", "2").unwrap(), Created::New);
    assert_unavailable(put(&storage, "a", "3"));
    assert_eq!(read(&storage, "a").as_deref(), Some("2"));
    assert_eq!(storage.schedule().counted(), 4);
}

#[test]
fn after_a_crash_no_call_succeeds() {
    let storage = Flaky::new(Double::sound(), Schedule::from(1));
    assert_eq!(create(&storage, "a", "1").unwrap(), Created::New);
    assert_unavailable(create(&storage, "a", "1"));
    assert_unavailable(block_on(storage.list("", None)));
    assert_unavailable(block_on(storage.get(&key("a"), None)));
    assert_unavailable(block_on(storage.delete(&[key("a")])));
}

#[test]
fn a_lying_call_fails_and_is_done_all_the_same() {
    let storage = Lying::new(Double::sound(), Schedule::calls([0, 2]));
    assert_unavailable(create(&storage, "a", "1"));
    assert_eq!(
        create(&storage, "a", "1").unwrap(),
        Created::New,
        "a retry heals it"
    );
    assert_unavailable(put(&storage, "a", "2"));
    assert_eq!(read(&storage, "a").as_deref(), Some("2"));
}

#[test]
fn a_torn_put_leaves_half_of_its_content() {
    let storage = Torn::new(Double::sound(), Schedule::calls([1]));
    put(&storage, "a", "whole").unwrap();
    assert_unavailable(put(&storage, "b", "torn"));
    assert_eq!(read(&storage, "a").as_deref(), Some("whole"));
    assert_eq!(read(&storage, "b").as_deref(), Some("to"));
}

#[test]
fn a_crash_undoes_what_is_not_durable() {
    let storage = Amnesiac::new(Double::sound(), Schedule::from(1));
    put(&storage, "a", "durable").unwrap();
    put(&storage, "a", "lost").unwrap();
    put(&storage, "a", "lost too").unwrap();
    assert_eq!(create(&storage, "b", "lost").unwrap(), Created::New);
    assert_eq!(
        read(&storage, "b").as_deref(),
        Some("lost"),
        "before the crash all is there"
    );
    block_on(storage.crash()).unwrap();
    assert_eq!(
        (read(&storage, "a").as_deref(), read(&storage, "b")),
        (Some("durable"), None)
    );
    block_on(storage.delete(&[key("a")])).unwrap();
    storage.sync();
    block_on(storage.crash()).unwrap();
    assert_eq!(read(&storage, "a"), None, "what was synced stays done");
}

#[test]
fn a_schedule_strikes_the_same_calls_each_time() {
    let struck = |schedule: Schedule| -> Vec<u64> {
        let strikes =
            |number: &u64| schedule.strikes([Operation::Get, Operation::List][*number as usize % 2]);
        (0..12).filter(strikes).collect()
    };
    assert_eq!(struck(Schedule::never()), [0; 0]);
    assert_eq!(struck(Schedule::calls([3, 7])), [3, 7]);
    assert_eq!(struck(Schedule::every(4)), [3, 7, 11]);
    assert_eq!(struck(Schedule::from(9)), [9, 10, 11]);
    assert_eq!(struck(Schedule::every(2).only([Operation::List])), [3, 7, 11]);
    let seeded = Schedule::seeded(7, 3);
    let first = struck(seeded.clone());
    assert_eq!(struck(seeded), first, "a clone counts anew");
    assert!((1..12).contains(&first.len()));
    assert_ne!(struck(Schedule::seeded(8, 3)), first);
}

fn key(name: &str) -> StorageKey {
    StorageKey::new(name).unwrap()
}

fn create(storage: &dyn CheckpointStorage, name: &str, content: &'static str) -> Result<Created> {
    block_on(storage.create(&key(name), content.into()))
}

fn put(storage: &dyn CheckpointStorage, name: &str, content: &'static str) -> Result<Stored> {
    let content = futures::stream::iter([Ok(Bytes::from(content))]).boxed();
    block_on(storage.put(&key(name), content))
}

fn read(storage: &dyn CheckpointStorage, name: &str) -> Option<String> {
    let object = block_on(storage.get(&key(name), None)).unwrap()?;
    Some(String::from_utf8(object.to_vec()).unwrap())
}

fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
}
