//! States that have changed from one run of the program to the next, and values that expire.

use super::Subject;
use super::subject::{Keyed, OPERATOR, Program, hash, max};
use snapline_core::{CheckpointId, Clock, Error, ErrorKind, ManualClock, SubtaskIndex, Timestamp, decode};
use snapline_state::{
    ListState, NamespacedState, Slot, StateDescriptor, StateHandle, StateTtl, TtlRefresh, ValueState,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const KEYS: u64 = 300;

/// What was a number in version 1, and a comment.
type Visits = (u64, String);

fn old_visits() -> (Program, ValueState<u64, u64>) {
    let mut program = Program::default();
    let state = ValueState::register("visits", &mut program.tables, max());
    (program, state)
}

fn new_visits(descriptor: StateDescriptor<Visits>) -> (Program, ValueState<u64, Visits>) {
    let mut program = Program::default();
    let state = ValueState::register(descriptor, &mut program.tables, max());
    (program, state)
}

fn visits(count: u64) -> Visits {
    (count, format!("from version 1: {count}"))
}

fn version_2() -> StateDescriptor<Visits> {
    StateDescriptor::new("visits")
        .version(2)
        .migrate(|version, stored| match version {
            1 => Ok(visits(decode(stored)?)),
            _ => Err(Error::invalid("no such version")),
        })
}

/// Reads version 1 at other parallelisms, changes some values, and goes on without the migration.
pub(super) fn values_of_an_older_version_are_migrated_once(subject: &Subject) {
    let (program, counts) = old_visits();
    let mut state = subject.open(&program, &[]);
    for key in 0..KEYS {
        counts.update(&mut *state, hash(&key), key, key + 7).unwrap();
    }
    let first = subject.snapshot_on(&mut state, CheckpointId(1), None);
    for key in (0..KEYS).step_by(3) {
        counts.update(&mut *state, hash(&key), key, key).unwrap();
    }
    let deltas = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    let expected = |key: u64, deltas: bool| {
        visits(if deltas && key.is_multiple_of(3) {
            key
        } else {
            key + 7
        })
    };
    for (handles, is_second) in [(first, false), (deltas, true)] {
        for parallelism in [1, 3] {
            let mut next: Vec<StateHandle> = Vec::new();
            for subtask in (0..parallelism).map(SubtaskIndex) {
                let own = max().range_of(subtask, parallelism);
                let (program, new) = new_visits(version_2());
                let base = CheckpointId(2);
                let mut state = subject.open_with(&program, own, &handles, Some(base)).unwrap();
                for key in (0..KEYS).filter(|key| own.contains(max().key_group(hash(key)))) {
                    let found = new.value(&mut *state, hash(&key), &key).unwrap();
                    assert_eq!(found, Some(expected(key, is_second)), "key {key}");
                }
                next.extend(subject.snapshot_on(&mut state, CheckpointId(3), Some(base)));
            }
            let (program, new) = new_visits(StateDescriptor::new("visits").version(2));
            let mut state = subject.open(&program, &next);
            for key in 0..KEYS {
                let found = new.value(&mut *state, hash(&key), &key).unwrap();
                assert_eq!(found, Some(expected(key, is_second)), "key {key}, stored again");
            }
        }
    }
}

/// Windows had numbers and have names now, and their values comments.
pub(super) fn namespaces_of_an_older_version_are_migrated_with_their_values(subject: &Subject) {
    let mut old = Program::default();
    let counts = NamespacedState::<u64, u64, u64>::register("windows", &mut old.tables, max());
    let mut state = subject.open(&old, &[]);
    for (key, window) in (0..KEYS).flat_map(|key| (0..3).map(move |window| (key, window))) {
        let put = |slot: Slot<'_, u64>| {
            if let Slot::Vacant(vacant) = slot {
                *vacant = Some(key + window);
            }
        };
        counts.modify(&mut *state, hash(&key), &key, window, put).unwrap();
    }
    let mut handles = subject.snapshot(&mut state);

    let name = |window: u64| format!("window {window}");
    let migrating = StateDescriptor::new("windows")
        .version(2)
        .migrate(move |_, stored| {
            let counts: BTreeMap<u64, u64> = decode(stored)?;
            let named = counts
                .into_iter()
                .map(|(window, count)| (name(window), visits(count)));
            Ok(named.collect())
        });
    let migrated = StateDescriptor::new("windows").version(2);
    for descriptor in [migrating, migrated] {
        let mut new = Program::default();
        let windows = NamespacedState::<u64, String, Visits>::register(descriptor, &mut new.tables, max());
        let mut state = subject.open(&new, &handles);
        for (key, window) in (0..KEYS).flat_map(|key| (0..3).map(move |window| (key, window))) {
            let found = windows.read(&mut *state, hash(&key), &key, &name(window), |value| {
                value.cloned()
            });
            assert_eq!(found.unwrap(), Some(visits(key + window)));
        }
        handles = subject.snapshot(&mut state);
    }
}

pub(super) fn a_version_that_cannot_be_read_is_refused_by_name(subject: &Subject) {
    let (program, counts) = old_visits();
    let mut state = subject.open(&program, &[]);
    counts.update(&mut *state, hash(&1_u64), 1, 1).unwrap();
    let old = subject.snapshot(&mut state);
    let (program, new) = new_visits(version_2());
    let mut state = subject.open(&program, &old);
    new.update(&mut *state, hash(&1_u64), 1, visits(5)).unwrap();
    let newer = subject.snapshot(&mut state);

    let fails = version_2().migrate(|_, _| Err(Error::invalid("it cannot be done")));
    let cases = [
        (&newer, old_visits().0, "newer version"),
        (
            &old,
            new_visits(StateDescriptor::new("visits").version(2)).0,
            "older version",
        ),
        (&old, new_visits(fails).0, "it cannot be done"),
    ];
    for (handles, program, problem) in cases {
        let Err(error) = subject.open_range(&program, max().full_range(), handles) else {
            panic!("{problem}");
        };
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let message = error.to_string();
        for part in [problem, OPERATOR, "visits", "version 1", "2"] {
            let is_there = message.contains(part) || message.contains(&part.replace(' ', ": "));
            assert!(is_there, "{part} is not in the message: {message}");
        }
    }
}

/// A program with a list and a value, which live this many seconds after a write, or after a read too.
struct Mortal {
    program: Program,
    value: ValueState<u64, u64>,
    list: ListState<u64, u64>,
}

impl Mortal {
    fn new(clock: &Arc<ManualClock>, seconds: u64) -> Self {
        let mut program = Program::default();
        let clock: Arc<dyn Clock> = clock.clone();
        let ttl = StateTtl::new(Duration::from_secs(seconds));
        let value = StateDescriptor::new("value").time_to_live(ttl, clock.clone());
        let list = StateDescriptor::new("list").time_to_live(ttl.refresh(TtlRefresh::OnReadAndWrite), clock);
        Self {
            value: ValueState::register(value, &mut program.tables, max()),
            list: ListState::register(list, &mut program.tables, max()),
            program,
        }
    }

    fn immortal() -> Self {
        let mut program = Program::default();
        Self {
            value: ValueState::register("value", &mut program.tables, max()),
            list: ListState::register("list", &mut program.tables, max()),
            program,
        }
    }

    fn set(&self, state: &mut Keyed, key: u64) {
        self.value.update(&mut **state, hash(&key), key, key).unwrap();
        self.list.add(&mut **state, hash(&key), &key, key).unwrap();
    }

    /// The value and the length of the list of a key.
    fn found(&self, state: &mut Keyed, key: u64) -> (Option<u64>, usize) {
        let value = self.value.value(&mut **state, hash(&key), &key).unwrap();
        let list = self.list.items(&mut **state, hash(&key), &key).unwrap();
        (value, list.len())
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000)))
}

fn wait(clock: &ManualClock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

/// After each wait, in a state that goes on and in one that is restored from its snapshot.
pub(super) fn what_has_expired_is_neither_returned_nor_restored(subject: &Subject) {
    let (clock, seconds) = (clock(), 10);
    let mortal = Mortal::new(&clock, seconds);
    let mut state = subject.open(&mortal.program, &[]);
    for key in 0..KEYS {
        mortal.set(&mut state, key);
    }
    wait(&clock, 6);
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&mortal.program, &handles)] {
        assert_eq!(mortal.found(state, 1), (Some(1), 1));
    }
    mortal.set(&mut state, 2);
    assert_eq!(mortal.found(&mut state, 1), (Some(1), 1));
    let handles = subject.snapshot(&mut state);
    wait(&clock, 4);
    let mut restored = subject.open(&mortal.program, &handles);
    for state in [&mut state, &mut restored] {
        assert_eq!(mortal.found(state, 1), (None, 1), "it was read 4 seconds ago");
        assert_eq!(
            mortal.found(state, 2),
            (Some(2), 1),
            "it was written 4 seconds ago, and so was the second item"
        );
        assert_eq!(mortal.found(state, 3), (None, 0), "it was written 10 seconds ago");
        mortal.set(state, 3);
        assert_eq!(mortal.found(state, 3), (Some(3), 1), "it was written now");
    }
    wait(&clock, 10);
    assert_eq!(mortal.found(&mut state, 2), (None, 0));
}

/// The older value has more time left, in a snapshot on which that of the newer builds.
pub(super) fn an_older_value_does_not_come_back_when_the_newer_expires(subject: &Subject) {
    let clock = clock();
    let (long, short) = (Mortal::new(&clock, 1_000), Mortal::new(&clock, 10));
    let mut state = subject.open(&long.program, &[]);
    for key in 0..KEYS {
        long.set(&mut state, key);
    }
    let handles = subject.snapshot_on(&mut state, CheckpointId(1), None);
    let mut state = subject.open_on(&short.program, &handles, CheckpointId(1));
    short.set(&mut state, 1);
    let handles = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    wait(&clock, 11);
    let mut state = subject.open(&short.program, &handles);
    assert_eq!(
        short.found(&mut state, 1),
        (None, 1),
        "of the list the newer item"
    );
    assert_eq!(short.found(&mut state, 2), (Some(2), 1), "it keeps its moment");
}

pub(super) fn a_time_to_live_is_given_changed_and_taken(subject: &Subject) {
    let clock = clock();
    let (immortal, ten, twenty) = (
        Mortal::immortal(),
        Mortal::new(&clock, 10),
        Mortal::new(&clock, 20),
    );
    let mut state = subject.open(&immortal.program, &[]);
    immortal.set(&mut state, 1);
    let handles = subject.snapshot_on(&mut state, CheckpointId(1), None);
    wait(&clock, 100);
    let mut state = subject.open_on(&ten.program, &handles, CheckpointId(1));
    wait(&clock, 9);
    let handles = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    let mut again = subject.open(&ten.program, &handles);
    assert_eq!(
        ten.found(&mut again, 1),
        (Some(1), 1),
        "its time began with the restore"
    );
    let mut longer = subject.open_on(&twenty.program, &handles, CheckpointId(2));
    wait(&clock, 2);
    assert_eq!(twenty.found(&mut longer, 1), (None, 0), "it keeps its moment");
    twenty.set(&mut longer, 1);
    let handles = subject.snapshot_on(&mut longer, CheckpointId(3), Some(CheckpointId(2)));
    wait(&clock, 1);
    let mut state = subject.open_on(&immortal.program, &handles, CheckpointId(3));
    wait(&clock, 1_000);
    assert_eq!(immortal.found(&mut state, 1), (Some(1), 1));
    let handles = subject.snapshot_on(&mut state, CheckpointId(4), Some(CheckpointId(3)));
    let mut state = subject.open(&immortal.program, &handles);
    assert_eq!(immortal.found(&mut state, 1), (Some(1), 1));
}
