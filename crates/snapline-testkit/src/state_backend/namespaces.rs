//! Merging namespaces, and going through all keys.

use super::Subject;
use super::subject::{Keyed, Program, hash, max};
use snapline_core::{CheckpointId, Clock, ManualClock, Timestamp};
use snapline_state::{ListState, MapState, NamespacedState, Slot, StateDescriptor, StateTtl, ValueState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

type Lists = NamespacedState<u64, u64, Vec<u64>>;

fn lists(descriptor: impl Into<StateDescriptor<BTreeMap<u64, Vec<u64>>>>) -> (Program, Lists) {
    let mut program = Program::default();
    let lists = NamespacedState::register(descriptor, &mut program.tables, max());
    (program, lists)
}

fn add(lists: &Lists, state: &mut Keyed, key: u64, namespace: u64, items: &[u64]) {
    let change = |slot: Slot<'_, Vec<u64>>| match slot {
        Slot::Occupied(list) => list.extend(items),
        Slot::Vacant(vacant) => *vacant = Some(items.to_vec()),
    };
    lists
        .modify(&mut **state, hash(&key), &key, namespace, change)
        .unwrap();
}

/// Merges namespaces 2 and 3 into 1.
fn merge(lists: &Lists, state: &mut Keyed, key: u64) {
    let extend = |list: &mut Vec<u64>, more| list.extend::<Vec<u64>>(more);
    lists
        .merge(&mut **state, hash(&key), &key, 1, [2, 3], extend)
        .unwrap();
}

/// What a key has in namespace 1, sorted.
fn merged(lists: &Lists, state: &mut Keyed, key: u64) -> Option<Vec<u64>> {
    let (backend, of) = (&mut **state, hash(&key));
    let namespaces = lists.namespaces(backend, of, &key).unwrap();
    assert!(
        namespaces.iter().all(|namespace| *namespace == 1),
        "the sources are gone"
    );
    let mut list = lists.read(backend, of, &key, &1, |list| list.cloned()).unwrap();
    if let Some(list) = &mut list {
        list.sort_unstable();
    }
    list
}

/// Five keys have items spread over all three namespaces, over two, nowhere, all in the target, all in a source.
pub(super) fn merged_namespaces_have_what_all_had_and_the_others_are_gone(subject: &Subject) {
    let (program, lists) = lists("lists");
    let mut state = subject.open(&program, &[]);
    add(&lists, &mut state, 1, 1, &[33, 55]);
    add(&lists, &mut state, 1, 2, &[22, 11]);
    add(&lists, &mut state, 1, 3, &[44]);
    add(&lists, &mut state, 2, 2, &[11, 22]);
    add(&lists, &mut state, 2, 3, &[33, 44, 55]);
    add(&lists, &mut state, 4, 1, &[11, 22, 33, 44, 55]);
    add(&lists, &mut state, 5, 3, &[11, 22, 33, 44, 55]);
    let before = subject.snapshot_on(&mut state, CheckpointId(1), None);
    for key in 1..=5 {
        merge(&lists, &mut state, key);
        merge(&lists, &mut state, key);
    }
    let after = subject.snapshot_on(&mut state, CheckpointId(2), Some(CheckpointId(1)));
    let mut restored = subject.open(&program, &before);
    (1..=5).for_each(|key| merge(&lists, &mut restored, key));
    for state in [&mut state, &mut restored, &mut subject.open(&program, &after)] {
        for key in [1, 2, 4, 5] {
            let all = vec![11, 22, 33, 44, 55];
            assert_eq!(merged(&lists, state, key), Some(all), "key {key}");
        }
        assert_eq!(merged(&lists, state, 3), None);
        for key in 1..=5 {
            lists.clear(&mut **state, hash(&key), &key).unwrap();
        }
        assert!(lists.as_map().keys(&mut **state).unwrap().is_empty());
    }
}

pub(super) fn what_has_expired_is_not_merged(subject: &Subject) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let time: Arc<dyn Clock> = clock.clone();
    let ttl = StateTtl::new(Duration::from_secs(10));
    let (program, lists) = lists(StateDescriptor::new("lists").time_to_live(ttl, time));
    let mut state = subject.open(&program, &[]);
    add(&lists, &mut state, 1, 2, &[2]);
    add(&lists, &mut state, 2, 1, &[1]);
    clock.advance(Duration::from_secs(6));
    add(&lists, &mut state, 1, 3, &[3]);
    add(&lists, &mut state, 2, 7, &[7]);
    clock.advance(Duration::from_secs(6));
    for key in [1, 2] {
        merge(&lists, &mut state, key);
    }
    assert_eq!(merged(&lists, &mut state, 1), Some(vec![3]));
    let of_two = |state: &mut Keyed| lists.namespaces(&mut **state, hash(&2_u64), &2).unwrap();
    assert_eq!(of_two(&mut state), [7], "it is in no namespace that was merged");
    clock.advance(Duration::from_secs(6));
    assert_eq!(of_two(&mut state), [0; 0], "a merge does not prolong it");
    assert_eq!(
        merged(&lists, &mut state, 1),
        Some(vec![3]),
        "it was written by the merge"
    );
}

/// The function changes the state of the key at hand, of one before and of one to come, and a new one.
pub(super) fn a_function_is_given_all_keys_once_and_may_change_the_state(subject: &Subject) {
    const KEYS: u64 = 1_000;
    let mut program = Program::default();
    let values = ValueState::<u64, u64>::register("values", &mut program.tables, max());
    let items = ListState::<u64, u64>::register("items", &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    for key in 0..KEYS {
        values.update(&mut *state, hash(&key), key, 0).unwrap();
    }
    let mut seen = BTreeSet::new();
    values
        .apply_to_all_keys(&mut *state, |backend, of, key| {
            assert!(seen.insert(*key), "{key} comes twice");
            assert_eq!(of, hash(key));
            values.update(backend, of, *key, 1)?;
            let new = key + KEYS;
            values.update(backend, hash(&new), new, 2)?;
            items.add(backend, of, key, *key)?;
            if key % 10 == 0 {
                values.clear(backend, of, key)?;
            }
            Ok(())
        })
        .unwrap();
    assert!(seen.into_iter().eq(0..KEYS));
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        let keys: BTreeSet<u64> = values.keys(&mut **state).unwrap().into_iter().collect();
        let expected = (0..2 * KEYS).filter(|key| *key >= KEYS || key % 10 != 0);
        assert!(keys.into_iter().eq(expected));
        assert_eq!(items.keys(&mut **state).unwrap().len() as u64, KEYS);
        let mut removed = 0;
        items
            .apply_to_all_keys(&mut **state, |backend, of, key| {
                removed += 1;
                items.clear(backend, of, key)
            })
            .unwrap();
        assert_eq!(removed, KEYS);
        assert!(items.keys(&mut **state).unwrap().is_empty());
    }
}

pub(super) fn the_keys_of_a_namespace_are_those_that_have_a_value_in_it(subject: &Subject) {
    let (program, lists) = lists("lists");
    let mut state = subject.open(&program, &[]);
    for key in 0..100 {
        for namespace in (0..4).filter(|namespace| key % 4 >= *namespace) {
            add(&lists, &mut state, key, namespace, &[key]);
        }
    }
    for namespace in 0..5 {
        let mut keys = Vec::new();
        lists
            .apply_to_all_keys(&mut *state, &namespace, |backend, of, key| {
                keys.push(*key);
                lists.take(backend, of, key, &namespace).map(drop)
            })
            .unwrap();
        keys.sort_unstable();
        assert!(keys.into_iter().eq((0..100).filter(|key| key % 4 >= namespace)));
        assert!(lists.keys(&mut *state, &namespace).unwrap().is_empty());
    }
}

/// Map keys that look alike, values that are changed in passing, and entries that go.
pub(super) fn the_entries_of_a_map_can_be_gone_through_changed_and_left_out(subject: &Subject) {
    let mut program = Program::default();
    let map = MapState::<String, String, u64>::register("map", &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    let keys = ["1", "11", ""].map(str::to_owned);
    for (key, count) in keys.iter().zip(1..) {
        let entries = keys.iter().map(|map_key| (map_key.clone(), count));
        map.put_all(&mut *state, hash(key), key, entries).unwrap();
    }
    let mut seen = Vec::new();
    map.retain(&mut *state, hash(&keys[1]), &keys[1], |map_key, value| {
        seen.push(map_key.clone());
        *value += 10;
        map_key != "1"
    })
    .unwrap();
    assert_eq!(seen, ["", "1", "11"]);
    map.retain(&mut *state, hash(&keys[2]), &keys[2], |_, _| false)
        .unwrap();
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        let entries = |state: &mut Keyed, key: &String| {
            let entries = map.entries(&mut **state, hash(key), key).unwrap();
            entries.into_iter().collect::<Vec<_>>()
        };
        let entry = |map_key: &str, value| (map_key.to_owned(), value);
        assert_eq!(
            entries(state, &keys[0]),
            [entry("", 1), entry("1", 1), entry("11", 1)]
        );
        assert_eq!(entries(state, &keys[1]), [entry("", 12), entry("11", 12)]);
        assert_eq!(entries(state, &keys[2]), []);
        let is_empty = keys
            .each_ref()
            .map(|key| map.is_empty(&mut **state, hash(key), key).unwrap());
        assert_eq!(is_empty, [false, false, true]);
        assert_eq!(map.keys(&mut **state).unwrap().len(), 2);
    }
}
