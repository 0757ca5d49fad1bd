//! Values and items that expire.

use super::Subject;
use super::subject::{Program, hash, max};
use snapline_core::{CheckpointId, Clock, ManualClock, Timestamp, Watermark};
use snapline_state::{
    EventClock, KeyedStateBackend, ListState, MapState, Slot, StateDescriptor, StateTtl, TtlRefresh,
    TtlVisibility, ValueState,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A list and a map whose items live for ten seconds, or for ever.
struct Collections {
    program: Program,
    list: ListState<u64, String>,
    map: MapState<u64, String, u64>,
}

impl Collections {
    fn new(clock: &Arc<ManualClock>, refresh: TtlRefresh) -> Self {
        let ttl = StateTtl::new(Duration::from_secs(10)).refresh(refresh);
        let clock: Arc<dyn Clock> = clock.clone();
        Self::of(
            StateDescriptor::new("list").time_to_live(ttl, clock.clone()),
            StateDescriptor::new("map").time_to_live(ttl, clock),
        )
    }

    fn immortal() -> Self {
        Self::of("list".into(), "map".into())
    }

    fn of(list: StateDescriptor<Vec<String>>, map: StateDescriptor<BTreeMap<String, u64>>) -> Self {
        let mut program = Program::default();
        Self {
            list: ListState::register(list, &mut program.tables, max()),
            map: MapState::register(map, &mut program.tables, max()),
            program,
        }
    }

    fn add(&self, state: &mut dyn KeyedStateBackend, key: u64, name: &str) {
        let of = hash(&key);
        self.list.add(state, of, &key, name.to_owned()).unwrap();
        self.map.put(state, of, &key, name.to_owned(), 1).unwrap();
    }

    /// The items of the list, which have to be the map keys too.
    fn items(&self, state: &mut dyn KeyedStateBackend, key: u64) -> String {
        let of = hash(&key);
        let mut items = self.list.items(state, of, &key).unwrap();
        let text = items.concat();
        items.sort();
        let entries = self.map.entries(state, of, &key).unwrap();
        assert!(entries.keys().eq(&items), "{entries:?} and {items:?}");
        text
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_000)))
}

fn wait(clock: &ManualClock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

pub(super) fn the_items_of_a_list_and_a_map_expire_one_by_one(subject: &Subject) {
    let clock = clock();
    let mortal = Collections::new(&clock, TtlRefresh::OnWrite);
    let mut state = subject.open(&mortal.program, &[]);
    for name in ["c", "a", "b"] {
        mortal.add(&mut *state, 1, name);
        mortal.add(&mut *state, 2, name);
        wait(&clock, 3);
    }
    let renewed = mortal.map.put(&mut *state, hash(&1_u64), &1, "c".to_owned(), 2);
    renewed.unwrap();
    let handles = subject.snapshot_on(&mut state, CheckpointId(1), None);
    wait(&clock, 1);
    mortal.add(&mut *state, 2, "d");
    let deltas = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    let mut restored = subject.open(&mortal.program, &deltas);
    for state in [&mut state, &mut restored] {
        assert_eq!(mortal.items(&mut **state, 2), "abd");
        let (list, of) = (&mortal.list, hash(&1_u64));
        assert_eq!(list.items(&mut **state, of, &1).unwrap(), ["a", "b"]);
        let entries = mortal.map.entries(&mut **state, of, &1).unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        assert_eq!(entries, [("a", 1), ("b", 1), ("c", 2)], "c was written again");
        let one = "b".to_owned();
        assert_eq!(mortal.map.remove(&mut **state, of, &1, &one).unwrap(), Some(1));
    }
    wait(&clock, 6);
    for state in [&mut state, &mut restored] {
        assert_eq!(mortal.items(&mut **state, 2), "d");
        let entries = mortal.map.entries(&mut **state, hash(&1_u64), &1).unwrap();
        assert_eq!(entries, BTreeMap::from([("c".to_owned(), 2)]));
    }
    wait(&clock, 4);
    for state in [
        &mut state,
        &mut restored,
        &mut subject.open(&mortal.program, &handles),
    ] {
        assert_eq!(
            (mortal.items(&mut **state, 1), mortal.items(&mut **state, 2)),
            Default::default()
        );
        assert!(mortal.list.keys(&mut **state).unwrap().is_empty());
    }
}

pub(super) fn a_read_lets_items_live_on_when_it_is_to(subject: &Subject) {
    let clock = clock();
    let mortal = Collections::new(&clock, TtlRefresh::OnReadAndWrite);
    let mut state = subject.open(&mortal.program, &[]);
    for key in [1, 2] {
        mortal.add(&mut *state, key, "a");
        mortal.add(&mut *state, key, "b");
    }
    for _ in 0..3 {
        wait(&clock, 6);
        assert_eq!(mortal.items(&mut *state, 1), "ab");
        let handles = subject.snapshot(&mut state);
        state = subject.open(&mortal.program, &handles);
    }
    assert_eq!(mortal.items(&mut *state, 2), "");
}

pub(super) fn items_come_to_expire_and_to_live_for_ever(subject: &Subject) {
    let clock = clock();
    let (mortal, immortal) = (
        Collections::new(&clock, TtlRefresh::OnWrite),
        Collections::immortal(),
    );
    let mut state = subject.open(&immortal.program, &[]);
    immortal.add(&mut *state, 1, "a");
    immortal.add(&mut *state, 1, "b");
    let handles = subject.snapshot_on(&mut state, CheckpointId(1), None);
    wait(&clock, 100);
    let mut state = subject.open_on(&mortal.program, &handles, CheckpointId(1));
    wait(&clock, 6);
    assert_eq!(
        mortal.items(&mut *state, 1),
        "ab",
        "their time began with the restore"
    );
    mortal.add(&mut *state, 1, "c");
    let handles = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    wait(&clock, 6);
    assert_eq!(mortal.items(&mut *state, 1), "c");
    let mut state = subject.open_on(&immortal.program, &handles, CheckpointId(2));
    wait(&clock, 100);
    assert_eq!(immortal.items(&mut *state, 1), "abc", "nothing has removed them");
    let handles = subject.snapshot_on(&mut state, CheckpointId(3), Some(CheckpointId(2)));
    assert_eq!(
        immortal.items(&mut *subject.open(&immortal.program, &handles), 1),
        "abc"
    );
}

pub(super) fn a_time_to_live_beyond_the_end_of_time_is_for_ever(subject: &Subject) {
    let clock = clock();
    let ttl = StateTtl::new(Duration::MAX);
    let mut program = Program::default();
    let forever = StateDescriptor::new("forever").time_to_live(ttl, clock.clone() as Arc<dyn Clock>);
    let value = ValueState::<u64, u64>::register(forever, &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    for number in [4, 5] {
        value.update(&mut *state, hash(&1_u64), 1, number).unwrap();
    }
    clock.advance(Duration::from_millis(i64::MAX as u64 - 1_000));
    assert_eq!(clock.now(), Timestamp::MAX);
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        assert_eq!(value.value(&mut **state, hash(&1_u64), &1).unwrap(), Some(5));
    }
}

/// Values live from the times of the records that wrote them, and die by the watermark.
pub(super) fn values_expire_in_event_time_by_the_watermark(subject: &Subject) {
    let ttl = StateTtl::new(Duration::from_millis(100));
    let start = |clock: &Arc<EventClock>| {
        let mut program = Program::default();
        let descriptor = StateDescriptor::new("value").event_time_to_live(ttl, clock.clone());
        let value = ValueState::<u64, u64>::register(descriptor, &mut program.tables, max());
        (program, value)
    };
    let clock = Arc::new(EventClock::new());
    let (program, value) = start(&clock);
    let mut state = subject.open(&program, &[]);
    let write = |state: &mut dyn KeyedStateBackend, key: u64, at: Option<i64>| {
        clock.on_record(at.map(Timestamp));
        value.update(state, hash(&key), key, key).unwrap();
    };
    write(&mut *state, 0, None);
    write(&mut *state, 1, Some(1_000));
    write(&mut *state, 2, Some(900));
    write(&mut *state, 2, Some(1_050));
    clock.on_watermark(Watermark(Timestamp(1_020)));
    write(&mut *state, 3, Some(500));
    let handles = subject.snapshot(&mut state);
    let again = Arc::new(EventClock::new());
    let (program, restored_value) = start(&again);
    let mut restored = subject.open(&program, &handles);
    for (state, clock, value) in [
        (&mut state, &clock, &value),
        (&mut restored, &again, &restored_value),
    ] {
        let mut found = |watermark| {
            clock.on_watermark(Watermark(Timestamp(watermark)));
            let found = (0..4).filter(|key| value.value(&mut **state, hash(key), key).unwrap().is_some());
            found.collect::<Vec<u64>>()
        };
        assert_eq!(found(1_099), [0, 1, 2, 3]);
        assert_eq!(found(1_100), [0, 2, 3], "written at 1000");
        assert_eq!(found(1_120), [0, 2], "written when the watermark was 1020");
        assert_eq!(found(1_150), [0]);
        assert_eq!(found(i64::MAX), [0], "written when no time was known");
    }
}

pub(super) fn what_has_expired_is_returned_once_where_that_is_wanted(subject: &Subject) {
    for refresh in [TtlRefresh::OnWrite, TtlRefresh::OnReadAndWrite] {
        let clock = clock();
        let ttl = StateTtl::new(Duration::from_secs(10));
        let ttl = ttl.refresh(refresh).visibility(TtlVisibility::UntilCleanedUp);
        let time: Arc<dyn Clock> = clock.clone();
        let mut both = Collections::of(
            StateDescriptor::new("list").time_to_live(ttl, time.clone()),
            StateDescriptor::new("map").time_to_live(ttl, time.clone()),
        );
        let value = StateDescriptor::new("value").time_to_live(ttl, time);
        let value = ValueState::<u64, u64>::register(value, &mut both.program.tables, max());
        let mut state = subject.open(&both.program, &[]);
        let of = hash(&1_u64);
        both.add(&mut *state, 1, "a");
        value.update(&mut *state, of, 1, 7).unwrap();
        wait(&clock, 8);
        both.add(&mut *state, 1, "b");
        wait(&clock, 4);
        assert_eq!(value.value(&mut *state, of, &1).unwrap(), Some(7));
        assert_eq!(value.value(&mut *state, of, &1).unwrap(), None);
        assert_eq!(both.items(&mut *state, 1), "ab");
        assert_eq!(both.items(&mut *state, 1), "b");
        value.update(&mut *state, of, 1, 8).unwrap();
        wait(&clock, 12);
        let found = value.modify(&mut *state, of, &1, |slot| matches!(slot, Slot::Occupied(_)));
        assert!(!found.unwrap(), "who writes finds none");
    }
}
