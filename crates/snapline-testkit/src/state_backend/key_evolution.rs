//! Keys that have become others from one run of the program to the next, and so belong elsewhere.

use super::Subject;
use super::subject::{OPERATOR, Program, hash, max};
use snapline_core::{CheckpointId, ErrorKind, Result, SubtaskIndex, Timestamp, decode};
use snapline_state::{KeyMigration, ListState, StateHandle, TimerState, ValueState};
use std::collections::BTreeSet;

const KEYS: u64 = 300;

/// States of a key, and its timers.
struct States<K> {
    program: Program,
    value: ValueState<K, u64>,
    list: ListState<K, u64>,
    timers: TimerState<K, ()>,
}

impl<K: snapline_core::Key> States<K> {
    fn new(migration: Option<&KeyMigration>) -> Self {
        let mut program = Program::default();
        let states = Self {
            value: ValueState::register("value", &mut program.tables, max()),
            list: ListState::register("list", &mut program.tables, max()),
            timers: TimerState::register("timers", &mut program.tables, max()),
            program: Program::default(),
        };
        for table in &mut program.tables {
            migration
                .into_iter()
                .for_each(|migration| table.migrate_keys(migration));
        }
        Self { program, ..states }
    }
}

fn name(key: u64) -> String {
    format!("user {key}")
}

fn to_names() -> KeyMigration {
    KeyMigration::new(2, |version, stored| {
        assert_eq!(version, 1);
        Ok(name(decode(stored)?))
    })
}

/// Numbers at parallelism 2, in full snapshots and deltas with changed, new and removed keys.
fn numbers(subject: &Subject) -> Vec<StateHandle> {
    let mut handles = Vec::new();
    for subtask in [0, 1].map(SubtaskIndex) {
        let own = max().range_of(subtask, 2);
        let mut states = States::<u64>::new(None);
        let mut state = subject.open_range(&states.program, own, &[]).unwrap();
        let owned =
            |range: std::ops::Range<u64>| range.filter(move |key| own.contains(max().key_group(hash(key))));
        for key in owned(0..KEYS) {
            let (backend, of) = (&mut *state, hash(&key));
            states.value.update(backend, of, key, key).unwrap();
            states.list.add(backend, of, &key, key).unwrap();
            let time = Timestamp(key as i64);
            states.timers.add(backend, of, &key, (), time).unwrap();
        }
        subject.snapshot_on(&mut state, CheckpointId(1), None);
        for key in owned(0..KEYS / 10) {
            let (backend, of) = (&mut *state, hash(&key));
            states.value.clear(backend, of, &key).unwrap();
            states.list.add(backend, of, &key, 7).unwrap();
        }
        for key in owned(KEYS..KEYS + 5) {
            states.value.update(&mut *state, hash(&key), key, key).unwrap();
        }
        handles.extend(subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1))));
    }
    handles
}

/// Each subtask is given all handles. What they have then is stored and read without a migration.
pub(super) fn keys_of_an_older_version_become_others_and_are_dealt_out_anew(subject: &Subject) {
    let mut handles = numbers(subject);
    for (parallelism, migration) in [(3, to_names()), (1, KeyMigration::done(2))] {
        let (mut next, mut found) = (Vec::new(), BTreeSet::new());
        for subtask in (0..parallelism).map(SubtaskIndex) {
            let own = max().range_of(subtask, parallelism);
            let mut states = States::<String>::new(Some(&migration));
            let base = Some(CheckpointId(2));
            let mut state = subject.open_with(&states.program, own, &handles, base).unwrap();
            states.timers.restore(&mut *state).unwrap();
            for key in 0..KEYS + 5 {
                let (backend, name) = (&mut *state, name(key));
                let of = hash(&name);
                let is_own = own.contains(max().key_group(of));
                let value = states.value.value(backend, of, &name).unwrap();
                let has_value = is_own && key >= KEYS / 10;
                assert_eq!(value, has_value.then_some(key), "{name}");
                let items = states.list.items(backend, of, &name).unwrap();
                let expected = match key {
                    _ if !is_own || key >= KEYS => vec![],
                    _ if key < KEYS / 10 => vec![key, 7],
                    _ => vec![key],
                };
                assert_eq!(items, expected, "{name}");
            }
            next.extend(subject.snapshot_on(&mut state, CheckpointId(3), base));
            while let Some(timer) = states.timers.take_due(&mut *state, Timestamp::MAX).unwrap() {
                assert_eq!(
                    (timer.key.clone(), timer.hash),
                    (name(timer.time.0 as u64), hash(&timer.key))
                );
                assert!(found.insert(timer.key), "a timer is in two subtasks");
            }
        }
        assert_eq!(found.len() as u64, KEYS);
        handles = next;
    }
}

pub(super) fn keys_that_cannot_be_migrated_are_refused(subject: &Subject) {
    let old = numbers(subject);
    let states = States::<String>::new(Some(&to_names()));
    let mut state = subject.open(&states.program, &old);
    let new = subject.snapshot(&mut state);
    let all_one = KeyMigration::new(2, |_, _| Ok("one".to_owned()));
    let fails = KeyMigration::new(2, |_, stored| -> Result<String> { decode(&stored[1..]) });
    let cases = [
        (&old, States::<String>::new(None).program, "not of the type"),
        (
            &old,
            States::<String>::new(Some(&KeyMigration::done(2))).program,
            "older version",
        ),
        (&new, States::<String>::new(None).program, "newer version"),
        (&old, States::<String>::new(Some(&all_one)).program, "the same"),
        (
            &old,
            States::<String>::new(Some(&fails)).program,
            "stored version of the keys",
        ),
    ];
    for (handles, program, problem) in cases {
        let Err(error) = subject.open_range(&program, max().full_range(), handles) else {
            panic!("{problem}");
        };
        let message = error.to_string();
        assert!(
            matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupted),
            "{message}"
        );
        for part in [problem, OPERATOR] {
            assert!(message.contains(part), "{part} is not in the message: {message}");
        }
    }
}
