//! What has expired goes in the background.

use super::Subject;
use super::subject::{Keyed, Program, hash, max};
use snapline_core::{CheckpointId, Clock, ManualClock, Timestamp};
use snapline_state::{CleanUp, ListState, StateDescriptor, StateTtl, TableId, TableRef, ValueState};
use std::sync::Arc;
use std::time::Duration;

/// A value and a list for each key, which live for ten seconds, or for ever.
struct States {
    program: Program,
    values: ValueState<u64, u64>,
    lists: ListState<u64, u64>,
}

impl States {
    fn mortal(clock: &Arc<ManualClock>) -> Self {
        let (ttl, clock) = (
            StateTtl::new(Duration::from_secs(10)),
            clock.clone() as Arc<dyn Clock>,
        );
        Self::of(
            StateDescriptor::new("values").time_to_live(ttl, clock.clone()),
            StateDescriptor::new("lists").time_to_live(ttl, clock),
        )
    }

    fn immortal() -> Self {
        Self::of("values".into(), "lists".into())
    }

    fn of(values: StateDescriptor<u64>, lists: StateDescriptor<Vec<u64>>) -> Self {
        let mut program = Program::default();
        Self {
            values: ValueState::register(values, &mut program.tables, max()),
            lists: ListState::register(lists, &mut program.tables, max()),
            program,
        }
    }

    fn write(&self, state: &mut Keyed, keys: std::ops::Range<u64>) {
        for key in keys {
            self.values.update(&mut **state, hash(&key), key, key).unwrap();
            self.lists.add(&mut **state, hash(&key), &key, key).unwrap();
        }
    }

    /// The keys that have a value and a list, in order.
    fn keys(&self, state: &mut Keyed) -> Vec<u64> {
        let mut keys = self.values.keys(&mut **state).unwrap();
        let mut lists = self.lists.keys(&mut **state).unwrap();
        keys.sort_unstable();
        lists.sort_unstable();
        assert_eq!(keys, lists);
        keys
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000)))
}

/// Goes on until the round is over.
fn clean_up(clean_up: &mut CleanUp, clock: &ManualClock, state: &mut Keyed) {
    while clean_up
        .advance(&mut **state)
        .unwrap()
        .is_some_and(|next| next <= clock.now())
    {}
}

/// A backend need not let its tables be gone through a few entries at a time.
fn can_be_gone_through(state: &mut Keyed) -> bool {
    let TableRef::Bytes(table) = state.table(TableId(0)).unwrap() else {
        return true;
    };
    let (mut place, mut visited) = (Vec::new(), 0);
    let visit = &mut |_: &[u8], _: &[u8]| {
        visited += 1;
        Ok(())
    };
    let is_done = table.scan_some(&mut place, 1, visit).unwrap();
    !is_done || visited > 0
}

/// Whoever takes the time to live away later sees what nothing has removed.
pub(super) fn what_nobody_touches_goes_when_it_has_expired(subject: &Subject) {
    let clock = clock();
    let (mortal, immortal) = (States::mortal(&clock), States::immortal());
    let mut state = subject.open(&mortal.program, &[]);
    let mut cleaning = CleanUp::of(&mortal.program.tables, max()).unwrap();
    mortal.write(&mut state, 0..3_000);
    let _ = subject.snapshot_on(&mut state, CheckpointId(1), None);
    clock.advance(Duration::from_secs(5));
    mortal.write(&mut state, 0..10);
    let handles = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    let all = immortal.keys(&mut subject.open(&immortal.program, &handles));
    assert_eq!(all.len(), 3_000);
    clean_up(&mut cleaning, &clock, &mut state);
    clock.advance(Duration::from_secs(6));
    if !can_be_gone_through(&mut state) {
        return;
    }
    clean_up(&mut cleaning, &clock, &mut state);
    assert_eq!(mortal.keys(&mut state), Vec::from_iter(0..10));
    let handles = subject.snapshot_on(&mut state, CheckpointId(3), Some(CheckpointId(2)));
    let left = immortal.keys(&mut subject.open(&immortal.program, &handles));
    assert_eq!(left, Vec::from_iter(0..10));
}

pub(super) fn a_clean_up_does_not_disturb_a_snapshot(subject: &Subject) {
    let clock = clock();
    let mortal = States::mortal(&clock);
    let mut state = subject.open(&mortal.program, &[]);
    let mut cleaning = CleanUp::of(&mortal.program.tables, max()).unwrap();
    mortal.write(&mut state, 0..3_000);
    let _ = subject.snapshot_on(&mut state, CheckpointId(1), None);
    clock.advance(Duration::from_secs(5));
    mortal.write(&mut state, 0..10);
    let frozen_at = clock.now();
    let snapshot = state.freeze(CheckpointId(2), Some(CheckpointId(1))).unwrap();
    let handles = subject.persist_while(&mut state, snapshot, |state, step| {
        if step == 1 {
            clock.advance(Duration::from_secs(6));
        }
        clean_up(&mut cleaning, &clock, state);
    });
    let later = mortal.keys(&mut subject.open(&mortal.program, &handles));
    assert_eq!(later, Vec::from_iter(0..10));
    // A full snapshot may leave out what has expired since; one that builds on another has all of its moment.
    if handles.len() > 1 {
        let then = States::mortal(&Arc::new(ManualClock::new(frozen_at)));
        let all = then.keys(&mut subject.open(&then.program, &handles));
        assert_eq!(all, Vec::from_iter(0..3_000));
    }
}
