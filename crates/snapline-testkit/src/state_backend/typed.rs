//! Lists, maps and accumulators.

use super::Subject;
use super::subject::{Program, hash, max};
use snapline_core::SubtaskIndex;
use snapline_state::{AggregateFunction, AggregatingState, ListState, MapState, NamespacedState, Slot};
use std::collections::BTreeMap;

/// The same steps on a plain vector; after each the list is right, here and after a restore.
pub(super) fn a_list_keeps_its_order_and_an_empty_one_is_none(subject: &Subject) {
    let mut program = Program::default();
    let list = ListState::<u64, String>::register("list", &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    let mut expected = Vec::new();
    let text = |number: u64| format!("item {number}");
    for step in 0..20_u64 {
        let (backend, of) = (&mut *state, hash(&1_u64));
        match step % 5 {
            0 => list.update(backend, of, &1, vec![text(step); 2]).unwrap(),
            1 => list.add(backend, of, &1, text(step)).unwrap(),
            2 => list.add_all(backend, of, &1, [text(step), text(0)]).unwrap(),
            3 => list.add_all(backend, of, &1, []).unwrap(),
            _ => list.update(backend, of, &1, Vec::new()).unwrap(),
        }
        match step % 5 {
            0 => expected = vec![text(step); 2],
            1 => expected.push(text(step)),
            2 => expected.extend([text(step), text(0)]),
            3 => {}
            _ => expected.clear(),
        }
        let handles = subject.snapshot(&mut state);
        for state in [&mut state, &mut subject.open(&program, &handles)] {
            let found = list.items(&mut **state, of, &1).unwrap();
            assert_eq!(found, expected, "after step {step}");
            let entries = list.keys(&mut **state).unwrap().len();
            assert_eq!(entries, usize::from(!expected.is_empty()), "after step {step}");
        }
    }
}

pub(super) fn a_map_keeps_its_entries_and_goes_with_its_last(subject: &Subject) {
    let mut program = Program::default();
    let map = MapState::<u64, String, u64>::register("map", &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    let (of, one, two) = (hash(&1_u64), "one".to_owned(), "two".to_owned());
    let count_up = |slot: Slot<'_, u64>| match slot {
        Slot::Occupied(count) => *count += 1,
        Slot::Vacant(vacant) => *vacant = Some(1),
    };
    map.modify(&mut *state, of, &1, one.clone(), |_| ()).unwrap();
    assert_eq!(map.keys(&mut *state).unwrap().len(), 0, "nothing was put");
    map.put(&mut *state, of, &1, one.clone(), 10).unwrap();
    map.put_all(&mut *state, of, &1, [(two.clone(), 5), (one.clone(), 11)])
        .unwrap();
    map.modify(&mut *state, of, &1, one.clone(), count_up).unwrap();
    map.modify(&mut *state, of, &1, "three".to_owned(), count_up)
        .unwrap();
    assert_eq!(map.remove(&mut *state, of, &1, &two).unwrap(), Some(5));
    assert_eq!(map.remove(&mut *state, of, &1, &two).unwrap(), None);
    let expected = BTreeMap::from([(one.clone(), 12), ("three".to_owned(), 1)]);
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        assert_eq!(map.entries(&mut **state, of, &1).unwrap(), expected);
        assert_eq!(map.get(&mut **state, of, &1, &one).unwrap(), Some(12));
        assert!(!map.contains(&mut **state, of, &1, &two).unwrap());
        assert_eq!(
            map.entries(&mut **state, hash(&2_u64), &2).unwrap(),
            BTreeMap::new()
        );
        for map_key in expected.keys() {
            map.remove(&mut **state, of, &1, map_key).unwrap();
        }
        assert_eq!(map.keys(&mut **state).unwrap().len(), 0);
    }
}

struct Average;

impl AggregateFunction for Average {
    type Input = f64;
    type Accumulator = (f64, u64);
    type Output = f64;

    fn create_accumulator(&self) -> (f64, u64) {
        (0.0, 0)
    }

    fn add(&self, (sum, count): &mut (f64, u64), value: f64) {
        *sum += value;
        *count += 1;
    }

    fn result(&self, (sum, count): &(f64, u64)) -> f64 {
        sum / *count as f64
    }
}

pub(super) fn an_accumulator_goes_on_where_it_was(subject: &Subject) {
    let mut program = Program::default();
    let averages = AggregatingState::<u64, _>::register("averages", &mut program.tables, max(), Average);
    let mut state = subject.open(&program, &[]);
    let of = hash(&1_u64);
    assert_eq!(averages.result(&mut *state, of, &1).unwrap(), None);
    for value in [1.0, 3.0] {
        averages.add(&mut *state, of, &1, value).unwrap();
    }
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        assert_eq!(averages.result(&mut **state, of, &1).unwrap(), Some(2.0));
        averages.add(&mut **state, of, &1, 5.0).unwrap();
        assert_eq!(averages.result(&mut **state, of, &1).unwrap(), Some(3.0));
        averages.clear(&mut **state, of, &1).unwrap();
        assert_eq!(averages.result(&mut **state, of, &1).unwrap(), None);
    }
}

pub(super) fn maps_of_keys_that_look_alike_are_apart(subject: &Subject) {
    let mut program = Program::default();
    let map = MapState::<String, String, u64>::register("map", &mut program.tables, max());
    let keys = ["", "1", "1 ", "11"].map(str::to_owned);
    let mut state = subject.open(&program, &[]);
    for (key, number) in keys.iter().zip(0_u64..) {
        let entries = keys.iter().map(|entry| (entry.clone(), number));
        map.put_all(&mut *state, hash(key), key, entries).unwrap();
        map.remove(&mut *state, hash(key), key, key).unwrap();
    }
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        let mut found = map.keys(&mut **state).unwrap();
        found.sort();
        assert_eq!(found, keys);
        for (key, number) in keys.iter().zip(0_u64..) {
            let others = keys.iter().filter(|entry| *entry != key);
            let expected: BTreeMap<String, u64> = others.map(|entry| (entry.clone(), number)).collect();
            assert_eq!(
                map.entries(&mut **state, hash(key), key).unwrap(),
                expected,
                "{key:?}"
            );
        }
    }
}

/// Each run opens a window for all keys and ends the one before the last, at another parallelism; odd keys have
/// all of their windows taken at the end.
pub(super) fn values_of_a_key_are_apart_by_namespace_at_any_parallelism(subject: &Subject) {
    const KEYS: u64 = 200;
    let mut program = Program::default();
    let windows = NamespacedState::<u64, u64, u64>::register("windows", &mut program.tables, max());
    let mut handles = Vec::new();
    let mut left = 0;
    for (run, parallelism) in (0_u64..).zip([1, 2, 3, 1]) {
        let mut next = Vec::new();
        for subtask in (0..parallelism).map(SubtaskIndex) {
            let own = max().range_of(subtask, parallelism);
            let mut state = subject.open_range(&program, own, &handles).unwrap();
            for key in (0..KEYS).filter(|key| own.contains(max().key_group(hash(key)))) {
                let (backend, of) = (&mut *state, hash(&key));
                let open: Vec<u64> = (run.saturating_sub(2)..run).collect();
                assert_eq!(windows.namespaces(backend, of, &key).unwrap(), open);
                let value = |slot: Slot<'_, u64>| match slot {
                    Slot::Occupied(value) => panic!("{key} has {value} already"),
                    Slot::Vacant(vacant) => *vacant = Some(key + run),
                };
                windows.modify(backend, of, &key, run, value).unwrap();
                if run >= 2 {
                    let ended = windows.take(backend, of, &key, &(run - 2)).unwrap();
                    assert_eq!(ended, Some(key + run - 2));
                }
                if run == 3 && !key.is_multiple_of(2) {
                    for window in [2, 3] {
                        let is_there = windows.read(backend, of, &key, &window, |value| value.is_some());
                        assert!(is_there.unwrap());
                        windows.take(backend, of, &key, &window).unwrap();
                    }
                }
            }
            left = windows.as_map().keys(&mut *state).unwrap().len();
            next.extend(subject.snapshot(&mut state));
        }
        handles = next;
    }
    assert_eq!(left as u64, KEYS / 2);
    let mut state = subject.open(&program, &handles);
    assert_eq!(windows.as_map().keys(&mut *state).unwrap().len() as u64, KEYS / 2);
}

/// Each run adds to the lists and maps of all keys, at another parallelism, given all handles of the run before.
pub(super) fn lists_and_maps_are_whole_at_any_parallelism(subject: &Subject) {
    const KEYS: u64 = 200;
    let mut program = Program::default();
    let list = ListState::<u64, u64>::register("list", &mut program.tables, max());
    let map = MapState::<u64, u64, u64>::register("map", &mut program.tables, max());
    let mut handles = Vec::new();
    for (run, parallelism) in (0..).zip([1, 2, 3, 1]) {
        let mut next = Vec::new();
        for subtask in (0..parallelism).map(SubtaskIndex) {
            let own = max().range_of(subtask, parallelism);
            let mut state = subject.open_range(&program, own, &handles).unwrap();
            for key in (0..KEYS).filter(|key| own.contains(max().key_group(hash(key)))) {
                let backend = &mut *state;
                let items = list.items(backend, hash(&key), &key).unwrap();
                assert!(items.into_iter().eq(0..run), "key {key} in run {run}");
                let entries = map.entries(backend, hash(&key), &key).unwrap();
                assert!(entries.into_iter().eq((0..run).map(|run| (run, key))));
                list.add(backend, hash(&key), &key, run).unwrap();
                map.put(backend, hash(&key), &key, run, key).unwrap();
            }
            next.extend(subject.snapshot(&mut state));
        }
        handles = next;
    }
}
