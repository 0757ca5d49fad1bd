//! Opening with the state of another run, perhaps of another program or another parallelism.

use super::Subject;
use super::subject::{OPERATOR, Program, State, hash, max, one_state};
use snapline_core::{ErrorKind, SubtaskIndex};
use snapline_state::StateHandle;
use std::collections::BTreeMap;

const KEYS: u64 = 3_000;

pub(super) fn a_restored_state_can_be_changed_and_restored_again(subject: &Subject) {
    let (program, counts) = one_state::<u64, u64>();
    let mut expected = BTreeMap::new();
    let mut handles = Vec::new();
    for run in 0..4_u64 {
        let mut state = subject.open(&program, &handles);
        assert_eq!(counts.content(&mut state), expected);
        for key in (run..KEYS).step_by(2) {
            counts.set(&mut state, key, run);
            expected.insert(key, run);
        }
        counts.clear(&mut state, &(run + 10));
        expected.remove(&(run + 10));
        handles = subject.snapshot(&mut state);
    }
}

/// Reads and extends the state at one parallelism after the other. Every subtask is given all
/// handles of the run before and has to take what is its own.
pub(super) fn every_entry_is_in_its_own_subtask_once_at_any_parallelism(subject: &Subject) {
    let (program, counts) = one_state::<u64, u64>();
    let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
    let mut handles = Vec::new();
    for (run, parallelism) in (0..).zip([1, 2, 3, 1, 10, 4]) {
        let mut found = BTreeMap::new();
        let mut next = Vec::new();
        for subtask in (0..parallelism).map(SubtaskIndex) {
            let own = max().range_of(subtask, parallelism);
            let mut state = subject.open_range(&program, own, &handles).unwrap();
            for (key, value) in counts.content(&mut state) {
                assert!(
                    own.contains(max().key_group(hash(&key))),
                    "{key} is not of subtask {subtask}"
                );
                assert_eq!(found.insert(key, value), None, "{key} is in two subtasks");
            }
            for key in (run..KEYS + run).filter(|key| own.contains(max().key_group(hash(key)))) {
                counts.set(&mut state, key, run);
            }
            next.extend(subject.snapshot(&mut state));
        }
        assert!(found == expected, "parallelism {parallelism}");
        expected.extend((run..KEYS + run).map(|key| (key, run)));
        handles = next;
    }
}

pub(super) fn a_state_that_nobody_accessed_is_in_the_next_snapshot(subject: &Subject) {
    let mut program = Program::default();
    let (used, idle): (State<u64, u64>, State<String, u64>) = (program.state("used"), program.state("idle"));
    let mut state = subject.open(&program, &[]);
    used.set(&mut state, 1, 1);
    idle.set(&mut state, "key".to_owned(), 5);
    let mut handles = subject.snapshot(&mut state);
    for run in 0..3 {
        let mut state = subject.open(&program, &handles);
        if run == 1 {
            used.set(&mut state, 1, 2);
        }
        handles = subject.snapshot(&mut state);
    }
    let mut state = subject.open(&program, &handles);
    assert_eq!(idle.get(&mut state, &"key".to_owned()), Some(5));
    assert_eq!(used.get(&mut state, &1), Some(2));
}

/// A program without the states runs at several parallelisms; then one that has them comes back.
pub(super) fn a_state_that_the_program_does_not_want_is_in_the_next_snapshot(subject: &Subject) {
    let mut program = Program::default();
    let old: State<u64, String> = program.state("old");
    let older: State<String, u64> = program.state("older");
    let expected: BTreeMap<_, _> = (0..KEYS).map(|key| (key, format!("value {key}"))).collect();
    let mut state = subject.open(&program, &[]);
    old.fill(&mut state, expected.clone());
    older.fill(&mut state, [("key".to_owned(), 9)]);
    let mut handles = subject.snapshot(&mut state);

    let mut other = Program::default();
    let new: State<u64, u64> = other.state("new");
    for parallelism in [1, 3, 2] {
        handles = (0..parallelism)
            .flat_map(|subtask| {
                let own = max().range_of(SubtaskIndex(subtask), parallelism);
                let mut state = subject.open_range(&other, own, &handles).unwrap();
                new.fill(&mut state, own_keys(subtask, parallelism).map(|key| (key, 1)));
                subject.snapshot(&mut state)
            })
            .collect();
    }

    let new: State<u64, u64> = program.state("new");
    let mut state = subject.open(&program, &handles);
    assert!(old.content(&mut state) == expected);
    assert_eq!(older.content(&mut state), BTreeMap::from([("key".to_owned(), 9)]));
    assert_eq!(new.content(&mut state).len() as u64, KEYS);
}

fn own_keys(subtask: u32, parallelism: u32) -> impl Iterator<Item = u64> {
    let own = max().range_of(SubtaskIndex(subtask), parallelism);
    (0..KEYS).filter(move |key| own.contains(max().key_group(hash(key))))
}

pub(super) fn states_are_found_by_name_and_a_new_one_is_empty(subject: &Subject) {
    let mut program = Program::default();
    let (a, b): (State<u64, u64>, State<u64, u64>) = (program.state("a"), program.state("b"));
    let mut state = subject.open(&program, &[]);
    a.set(&mut state, 1, 10);
    b.set(&mut state, 2, 20);
    let handles = subject.snapshot(&mut state);

    let mut program = Program::default();
    let (new, b, a): (State<u64, u64>, State<u64, u64>, State<u64, u64>) =
        (program.state("new"), program.state("b"), program.state("a"));
    let mut state = subject.open(&program, &handles);
    assert_eq!(new.content(&mut state), BTreeMap::new());
    assert_eq!(a.content(&mut state), BTreeMap::from([(1, 10)]));
    assert_eq!(b.content(&mut state), BTreeMap::from([(2, 20)]));
}

pub(super) fn a_state_of_another_type_is_refused_by_name(subject: &Subject) {
    let (program, counts) = one_state::<u64, i32>();
    let mut state = subject.open(&program, &[]);
    counts.set(&mut state, 1, 1);
    let handles = subject.snapshot(&mut state);

    refused(
        subject,
        &handles,
        &one_state::<u64, String>().0,
        ["i32", "String"],
    );
    refused(
        subject,
        &handles,
        &one_state::<String, i32>().0,
        ["u64", "String"],
    );
    refused(
        subject,
        &handles,
        &one_state::<u64, Option<i32>>().0,
        ["i32", "Option<i32>"],
    );
    assert_eq!(counts.get(&mut subject.open(&program, &handles), &1), Some(1));
}

fn refused(subject: &Subject, handles: &[StateHandle], program: &Program, types: [&str; 2]) {
    let Err(error) = subject.open_range(program, max().full_range(), handles) else {
        panic!("{types:?} are not the same type");
    };
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let message = error.to_string();
    for part in types.iter().chain(&[OPERATOR, "counts"]) {
        assert!(message.contains(part), "{part} is not in the message: {message}");
    }
}
