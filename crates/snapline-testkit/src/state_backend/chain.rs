//! Snapshots that build on others.

use super::Subject;
use super::subject::{Keyed, Program, State, max, one_state};
use snapline_core::{CheckpointId, SubtaskIndex};
use snapline_state::{StateHandle, StateLocation, StorageKey};
use std::collections::{BTreeMap, BTreeSet};

const KEYS: u64 = 5_000;

/// Some hundred changes, removals and new keys; each number does something else.
fn stir(numbers: &State<u64, u64>, state: &mut Keyed, number: u64) {
    for index in 0..300 {
        let key = (index * 31 + number * 17) * 7_919 % (KEYS + number * 10);
        match index % 3 {
            0 => numbers.clear(state, &key),
            _ => numbers.set(state, key, number),
        }
    }
}

fn filled(subject: &Subject) -> (Program, State<u64, u64>, Keyed) {
    let (program, numbers) = one_state::<u64, u64>();
    let mut state = subject.open(&program, &[]);
    numbers.fill(&mut state, (0..KEYS).map(|key| (key, key)));
    (program, numbers, state)
}

/// Most snapshots build on the one before, some on an older one because the one before was given up, and
/// some begin anew. Every few of them the state is restored and goes on from there.
pub(super) fn a_snapshot_that_builds_on_another_holds_its_own_moment(subject: &Subject) {
    let (program, numbers, mut state) = filled(subject);
    let mut complete = None;
    for number in 1..40 {
        stir(&numbers, &mut state, number);
        let moment = numbers.content(&mut state);
        let id = CheckpointId(number);
        let base = complete.filter(|_| number % 11 != 0);
        let snapshot = state.freeze(id, base).unwrap();
        let handles = subject.persist_while(&mut state, snapshot, |state, step| {
            numbers.set(state, (number + step * 97) % KEYS, step);
        });
        let restored = numbers.content(&mut subject.open(&program, &handles));
        assert!(restored == moment, "snapshot {number} on {base:?}");
        if number % 5 != 0 {
            complete = Some(id);
            if number % 7 == 0 {
                state = subject.open_on(&program, &handles, id);
            }
        }
    }
}

fn files(handles: &[StateHandle]) -> BTreeSet<StorageKey> {
    let file = |handle: &StateHandle| match &handle.location {
        StateLocation::File { key, .. } => Some(key.clone()),
        _ => None,
    };
    handles.iter().filter_map(file).collect()
}

pub(super) fn a_snapshot_refers_to_its_own_files_and_those_of_its_base_alone(subject: &Subject) {
    let (program, numbers, mut state) = filled(subject);
    let mut known: BTreeMap<CheckpointId, BTreeSet<StorageKey>> = BTreeMap::new();
    let mut older: BTreeSet<StorageKey> = BTreeSet::new();
    for (id, base) in [
        (1, None),
        (2, Some(1)),
        (3, Some(2)),
        (4, Some(2)),
        (5, None),
        (6, Some(77)),
        (7, Some(5)),
    ] {
        stir(&numbers, &mut state, id);
        let (id, base) = (CheckpointId(id), base.map(CheckpointId));
        let handles = subject.snapshot_on(&mut state, id, base);
        let restored = numbers.content(&mut subject.open(&program, &handles));
        assert_eq!(restored, numbers.content(&mut state));
        let found = files(&handles);
        let may = base
            .and_then(|base| known.get(&base))
            .cloned()
            .unwrap_or_default();
        let foreign: Vec<_> = found
            .intersection(&older)
            .filter(|file| !may.contains(file))
            .collect();
        assert!(
            foreign.is_empty(),
            "snapshot {id} on {base:?} refers to {foreign:?}"
        );
        older.extend(found.iter().cloned());
        known.insert(id, found);
    }
}

pub(super) fn snapshots_that_build_on_others_are_dealt_out_to_any_number_of_subtasks(subject: &Subject) {
    let (program, numbers, mut state) = filled(subject);
    let mut handles = Vec::new();
    for number in 1..4 {
        stir(&numbers, &mut state, number);
        let base = (number > 1).then(|| CheckpointId(number - 1));
        handles = subject.snapshot_on(&mut state, CheckpointId(number), base);
    }
    let moment = numbers.content(&mut state);
    let mut parts = vec![handles];
    for parallelism in [3, 2, 1] {
        let (mut all, mut next) = (BTreeMap::new(), Vec::new());
        for subtask in 0..parallelism {
            let range = max().range_of(SubtaskIndex(subtask), parallelism);
            let mut part = subject.open_range(&program, range, &parts.concat()).unwrap();
            all.extend(numbers.content(&mut part));
            next.push(subject.snapshot_on(&mut part, CheckpointId(9), Some(CheckpointId(3))));
        }
        assert!(all == moment, "{parallelism} subtasks");
        parts = next;
    }
}
