//! What the suite cannot see: how the work of a snapshot is spread.

use super::*;
use crate::MemoryCheckpointStorage;
use futures::executor::block_on;
use futures::future::join;
use snapline_core::{
    Clock, ErrorKind, ManualClock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex, Timestamp,
};
use snapline_state::{
    HandleKind, SnapshotTarget, StateDescriptor, StateHandle, StateTtl, StorageKey, ValueState,
};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

type Numbers = ValueState<u64, Fussy>;

/// A number that cannot be encoded when it is 13.
#[derive(Clone, serde::Deserialize)]
struct Fussy(u64);

impl serde::Serialize for Fussy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0 == 13 {
            return Err(serde::ser::Error::custom("13 brings bad luck"));
        }
        serializer.serialize_u64(self.0)
    }
}

fn open() -> (Numbers, Box<dyn KeyedStateBackend>) {
    open_as("numbers".into())
}

fn open_as(descriptor: StateDescriptor<Fussy>) -> (Numbers, Box<dyn KeyedStateBackend>) {
    let max = MaxParallelism::DEFAULT;
    let mut tables = Vec::new();
    let numbers = ValueState::register(descriptor, &mut tables, max);
    let context = StateContext {
        operator: OperatorUid::new("op").unwrap(),
        subtask: SubtaskIndex(0),
        max_parallelism: max,
        key_groups: max.full_range(),
        tables,
        restore: Vec::new(),
        base: None,
        storage: Arc::new(MemoryCheckpointStorage::new()),
    };
    (
        numbers,
        block_on(MemoryStateBackend::new().open(context)).unwrap(),
    )
}

fn set(numbers: &Numbers, state: &mut dyn KeyedStateBackend, key: u64, value: u64) {
    let hash = StableHasher::new().hash(&key).unwrap();
    numbers.update(state, hash, key, Fussy(value)).unwrap();
}

fn target() -> SnapshotTarget {
    let storage = Arc::new(MemoryCheckpointStorage::new());
    SnapshotTarget::new(storage, StorageKey::new("s").unwrap())
}

/// Polls until there is nothing left to do, and tells how often and how it ended.
fn advance(state: &mut dyn KeyedStateBackend) -> (usize, Result<()>) {
    let mut cx = Context::from_waker(Waker::noop());
    for polls in 1.. {
        if let Poll::Ready(outcome) = state.poll_advance(&mut cx) {
            return (polls, outcome);
        }
    }
    unreachable!("a snapshot ends")
}

#[test]
fn the_work_of_a_snapshot_is_spread_over_many_polls() {
    let (numbers, mut state) = open();
    (0..100_000).for_each(|key| set(&numbers, &mut *state, key, key + 100));
    let _snapshot = state.freeze(CheckpointId(1), None).unwrap();
    let (polls, outcome) = advance(&mut *state);
    outcome.unwrap();
    assert!(polls > 8, "{polls}");
}

#[test]
fn a_snapshot_that_was_given_up_leaves_no_work() {
    let (numbers, mut state) = open();
    (0..20_000).for_each(|key| set(&numbers, &mut *state, key, key + 100));
    drop(state.freeze(CheckpointId(1), None).unwrap());
    let (polls, outcome) = advance(&mut *state);
    assert_eq!(polls, 1);
    outcome.unwrap();
}

#[test]
fn a_value_that_cannot_be_encoded_fails_its_snapshot_once_and_says_why() {
    let (numbers, mut state) = open();
    (0..100).for_each(|key| set(&numbers, &mut *state, key, 13));
    let snapshot = state.freeze(CheckpointId(1), None).unwrap();
    let target = target();
    let (persisted, (_, advanced)) =
        block_on(join(snapshot.persist(&target), async { advance(&mut *state) }));
    let error = persisted.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("state: numbers"), "{error}");
    assert!(error.to_string().contains("Fussy"), "{error}");
    // Numbers are encoded where they are stored, so the task hears nothing of it.
    advanced.unwrap();
    assert_eq!(advance(&mut *state).0, 1);

    (0..100).for_each(|key| set(&numbers, &mut *state, key, 14));
    let snapshot = state.freeze(CheckpointId(2), None).unwrap();
    let (persisted, _) = block_on(join(snapshot.persist(&target), async { advance(&mut *state) }));
    persisted.unwrap();
}

#[test]
fn a_slow_storage_holds_the_encoding_back() {
    let (numbers, mut state) = open();
    (0..800_000).for_each(|key| set(&numbers, &mut *state, key, u64::MAX - key));
    let _snapshot = state.freeze(CheckpointId(1), None).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let pending = (0..2_000)
        .filter(|_| state.poll_advance(&mut cx).is_pending())
        .count();
    assert_eq!(pending, 2_000, "nobody reads, so the snapshot cannot be whole");
}

#[test]
fn a_snapshot_of_which_more_than_a_quarter_has_changed_is_a_full_one_at_once() {
    for (changed, kinds) in [
        (4_000, &[HandleKind::Full, HandleKind::Delta][..]),
        (6_000, &[HandleKind::Full]),
    ] {
        let (numbers, mut state) = open();
        (0..20_000).for_each(|key| set(&numbers, &mut *state, key, 1_000));
        let target = target();
        let store = |state: &mut Box<dyn KeyedStateBackend>, checkpoint, base| {
            let snapshot = state.freeze(checkpoint, base).unwrap();
            block_on(join(snapshot.persist(&target), async { advance(&mut **state) }))
                .0
                .unwrap()
        };
        store(&mut state, CheckpointId(1), None);
        (0..changed).for_each(|key| set(&numbers, &mut *state, key, 2_000));
        let handles = store(&mut state, CheckpointId(2), Some(CheckpointId(1)));
        let stored: Vec<HandleKind> = handles.iter().map(|handle| handle.kind).collect();
        assert_eq!(stored, kinds, "{changed} keys changed");
    }
}

#[test]
fn a_full_snapshot_leaves_out_what_has_expired() {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let ttl = StateTtl::new(Duration::from_secs(10));
    let descriptor = StateDescriptor::new("numbers").time_to_live(ttl, clock.clone() as Arc<dyn Clock>);
    let (numbers, mut state) = open_as(descriptor);
    (0..2_000).for_each(|key| set(&numbers, &mut *state, key, key + 100));
    let mut size = || {
        let snapshot = state.freeze(CheckpointId(1), None).unwrap();
        let target = target();
        let advance = futures::future::poll_fn(|cx| state.poll_advance(cx));
        let (handles, advanced) = block_on(join(snapshot.persist(&target), advance));
        advanced.unwrap();
        handles
            .unwrap()
            .last()
            .map_or(0, |handle: &StateHandle| handle.len)
    };
    let first = size();
    clock.advance(Duration::from_secs(10));
    let full = size();
    assert!(full * 10 < first, "{full} of {first} bytes");
}
