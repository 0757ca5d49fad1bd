//! Freezing, persisting, and what comes back.

use super::Subject;
use super::subject::{Keyed, Program, STEPS, State, freeze, one_state};
use futures::FutureExt;
use snapline_core::ErrorKind;
use snapline_state::Snapshot;
use std::collections::BTreeMap;
use std::task::{Context, Waker};

const KEYS: u64 = 20_000;

/// Changes, removes and adds entries all over the table; each number does something else.
fn stir(texts: &State<u64, String>, state: &mut Keyed, number: u64) {
    for index in 0..KEYS / 100 {
        let key = (index * STEPS + number) * 7_919 % KEYS;
        match index % 3 {
            0 => texts.set(state, key, format!("changed {number}")),
            1 => texts.clear(state, &key),
            _ => texts.set(state, KEYS + number * KEYS + index, "new".to_owned()),
        }
    }
}

fn filled(subject: &Subject) -> (Program, State<u64, String>, Keyed) {
    let (program, texts) = one_state::<u64, String>();
    let mut state = subject.open(&program, &[]);
    texts.fill(&mut state, (0..KEYS).map(|key| (key, format!("old {key}"))));
    (program, texts, state)
}

pub(super) fn a_snapshot_holds_the_moment_of_its_freeze_while_writes_go_on(subject: &Subject) {
    let (program, texts, mut state) = filled(subject);
    let moment = texts.content(&mut state);
    let snapshot = freeze(&mut state);
    stir(&texts, &mut state, STEPS);
    let handles = subject.persist_while(&mut state, snapshot, |state, number| stir(&texts, state, number));
    let now = texts.content(&mut state);
    assert!(texts.content(&mut subject.open(&program, &handles)) == moment);

    let handles = subject.snapshot(&mut state);
    assert!(texts.content(&mut subject.open(&program, &handles)) == now);
}

pub(super) fn snapshots_taken_before_any_is_persisted_hold_their_own_moments(subject: &Subject) {
    for newest_first in [false, true] {
        let (program, texts, mut state) = filled(subject);
        let (mut moments, mut snapshots): (Vec<_>, Vec<Box<dyn Snapshot>>) = (Vec::new(), Vec::new());
        for number in 0..3 {
            moments.push(texts.content(&mut state));
            snapshots.push(freeze(&mut state));
            stir(&texts, &mut state, number);
        }
        if newest_first {
            moments.reverse();
            snapshots.reverse();
        }
        let persisted = subject.persist_all(&mut state, snapshots);
        for (handles, moment) in persisted.into_iter().zip(moments) {
            assert!(texts.content(&mut subject.open(&program, &handles.unwrap())) == moment);
        }
    }
}

pub(super) fn a_snapshot_of_nothing_restores_nothing(subject: &Subject) {
    let (program, texts) = one_state::<u64, String>();
    let mut state = subject.open(&program, &[]);
    let handles = subject.snapshot(&mut state);
    let mut state = subject.open(&program, &handles);
    assert!(texts.content(&mut state).is_empty());

    texts.set(&mut state, 1, "soon gone".to_owned());
    texts.clear(&mut state, &1);
    let handles = subject.snapshot(&mut state);
    assert!(texts.content(&mut subject.open(&program, &handles)).is_empty());
}

pub(super) fn deleted_entries_stay_deleted(subject: &Subject) {
    let (program, texts, mut state) = filled(subject);
    subject.snapshot(&mut state);
    (0..KEYS)
        .filter(|key| key % 3 == 0)
        .for_each(|key| texts.clear(&mut state, &key));
    let handles = subject.snapshot(&mut state);
    let mut state = subject.open(&program, &handles);
    (0..KEYS)
        .filter(|key| key % 3 == 1)
        .for_each(|key| texts.clear(&mut state, &key));
    let handles = subject.snapshot(&mut state);
    let left: Vec<_> = texts
        .content(&mut subject.open(&program, &handles))
        .into_keys()
        .collect();
    assert_eq!(left, (0..KEYS).filter(|key| key % 3 == 2).collect::<Vec<_>>());
}

pub(super) fn large_values_and_keys_come_back(subject: &Subject) {
    let (program, texts) = one_state::<String, String>();
    let expected: BTreeMap<_, _> = [0, 1, 127, 128, 16_384, 1_000_000, 3_000_000]
        .map(|len: usize| ("k".repeat(len / 10) + &len.to_string(), "v".repeat(len)))
        .into();
    let mut state = subject.open(&program, &[]);
    texts.fill(&mut state, expected.clone());
    let handles = subject.snapshot(&mut state);
    assert!(texts.content(&mut subject.open(&program, &handles)) == expected);
}

pub(super) fn a_hundred_states_come_back(subject: &Subject) {
    let mut program = Program::default();
    let states: Vec<State<u64, u64>> = (0..100)
        .map(|index| program.state(&format!("state-{index}")))
        .collect();
    let expected = |index: u64| BTreeMap::from_iter((0..index % 7).map(|key| (key, index)));
    let mut state = subject.open(&program, &[]);
    for (index, each) in (0..).zip(&states) {
        each.fill(&mut state, expected(index));
    }
    let handles = subject.snapshot(&mut state);
    let mut state = subject.open(&program, &handles);
    for (index, each) in (0..).zip(&states) {
        assert_eq!(each.content(&mut state), expected(index), "state {index}");
    }
}

pub(super) fn a_snapshot_that_is_given_up_does_not_disturb_the_next(subject: &Subject) {
    let (program, texts, mut state) = filled(subject);
    for number in 0..3 {
        let given_up = freeze(&mut state);
        stir(&texts, &mut state, number);
        let now = texts.content(&mut state);
        let target = subject.target();
        match number {
            0 => drop(given_up),
            1 => drop(given_up.persist(&target)),
            _ => {
                let mut persist = given_up.persist(&target);
                let is_done = persist.as_mut().now_or_never().is_some();
                let mut cx = Context::from_waker(Waker::noop());
                let _ = state.poll_advance(&mut cx);
                if !is_done {
                    let _ = persist.as_mut().now_or_never();
                }
            }
        }
        let handles = subject.snapshot(&mut state);
        assert!(texts.content(&mut state) == now);
        assert!(texts.content(&mut subject.open(&program, &handles)) == now);
    }
}

pub(super) fn a_snapshot_that_cannot_be_stored_leaves_the_state_unharmed(subject: &Subject) {
    let (program, texts, mut state) = filled(subject);
    let now = texts.content(&mut state);
    subject.shelf.set_full(true);
    let snapshot = freeze(&mut state);
    let error = subject.persist(&mut state, snapshot).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    subject.shelf.set_full(false);
    assert!(texts.content(&mut state) == now);
    let handles = subject.snapshot(&mut state);
    assert!(texts.content(&mut subject.open(&program, &handles)) == now);
}
