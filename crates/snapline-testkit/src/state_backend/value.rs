//! Reading and writing.

use super::Subject;
use super::subject::{Program, State, freeze, hash, max, one_state};
use snapline_core::{KeyGroup, StableHasher};
use snapline_state::{ReducingState, Slot, TableId, TableRef, ValueState};
use std::collections::BTreeMap;

pub(super) fn a_key_has_no_value_until_it_gets_one(subject: &Subject) {
    let (program, counts) = one_state::<u64, i64>();
    let mut state = subject.open(&program, &[]);
    counts.clear(&mut state, &7);
    assert_eq!(counts.get(&mut state, &7), None);
    counts.set(&mut state, 7, -1);
    assert_eq!(counts.get(&mut state, &7), Some(-1));
    assert_eq!(counts.content(&mut state), BTreeMap::from([(7, -1)]));
}

/// After each step the value is right, here and after a restore.
pub(super) fn a_value_is_set_replaced_cleared_and_set_again(subject: &Subject) {
    let (program, counts) = one_state::<String, Option<u64>>();
    let mut state = subject.open(&program, &[]);
    let (key, other) = ("key".to_owned(), "other".to_owned());
    counts.set(&mut state, other.clone(), Some(5));
    let steps = [
        Some(Some(42)),
        Some(Some(1)),
        None,
        Some(None),
        None,
        Some(Some(2)),
    ];
    for step in steps {
        match step {
            Some(value) => counts.set(&mut state, key.clone(), value),
            None => counts.clear(&mut state, &key),
        }
        let handles = subject.snapshot(&mut state);
        for state in [&mut state, &mut subject.open(&program, &handles)] {
            assert_eq!(counts.get(state, &key), step);
            assert_eq!(counts.get(state, &other), Some(Some(5)));
        }
    }
}

pub(super) fn keys_that_look_alike_have_values_of_their_own(subject: &Subject) {
    let (program, lengths) = one_state::<String, usize>();
    let keys = ["", "1", "11", "1\0", "\0", "a", "A", "ä", "a "].map(str::to_owned);
    let expected: BTreeMap<_, _> = keys.iter().map(|key| (key.clone(), key.len())).collect();
    let mut state = subject.open(&program, &[]);
    lengths.fill(&mut state, expected.clone());
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        assert_eq!(lengths.content(state), expected);
        assert!(keys.iter().all(|key| lengths.get(state, key) == Some(key.len())));
    }
}

pub(super) fn what_is_taken_is_in_the_snapshot_before_and_in_none_after(subject: &Subject) {
    let (program, squares) = one_state::<u64, u64>();
    let expected: BTreeMap<_, _> = (0..5_000).map(|number| (number, number * number)).collect();
    let mut state = subject.open(&program, &[]);
    squares.fill(&mut state, expected.clone());
    let before = freeze(&mut state);
    let mut taken = BTreeMap::new();
    let mut take = |key, value| {
        assert_eq!(taken.insert(key, value), None, "{key} was taken twice");
        Ok(())
    };
    squares.table(&mut state).take_all(&mut take).unwrap();
    assert_eq!(taken, expected);
    assert_eq!(squares.content(&mut state), BTreeMap::new());
    squares.set(&mut state, 1, 10);
    let before = subject.persist(&mut state, before).unwrap();
    let after = subject.snapshot(&mut state);
    assert_eq!(squares.content(&mut subject.open(&program, &before)), expected);
    assert_eq!(
        squares.content(&mut subject.open(&program, &after)),
        BTreeMap::from([(1, 10)])
    );
}

pub(super) fn states_of_different_names_are_independent(subject: &Subject) {
    let mut program = Program::default();
    let names = ["a", "b", "ab"];
    let states: Vec<State<u64, String>> = names.iter().map(|name| program.state(name)).collect();
    let mut state = subject.open(&program, &[]);
    for (name, each) in names.iter().zip(&states) {
        each.set(&mut state, 1, (*name).to_owned());
        each.set(&mut state, 2, (*name).to_owned());
    }
    states[1].clear(&mut state, &1);
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        for (each, expected) in states.iter().zip([vec!["a", "a"], vec!["b"], vec!["ab", "ab"]]) {
            let values: Vec<_> = each.content(state).into_values().collect();
            assert_eq!(values, expected);
        }
    }
}

pub(super) fn a_scan_visits_every_entry_once(subject: &Subject) {
    let (program, squares) = one_state::<u64, u64>();
    let expected: BTreeMap<_, _> = (0..10_000).map(|key| (key, key * key)).collect();
    let mut state = subject.open(&program, &[]);
    squares.fill(&mut state, expected.clone());
    assert_eq!(squares.content(&mut state), expected);
}

pub(super) fn an_update_may_leave_a_key_without_a_value(subject: &Subject) {
    let (program, counts) = one_state::<u64, u64>();
    let mut state = subject.open(&program, &[]);
    let seen = counts
        .table(&mut state)
        .update(hash(&1_u64), 1, |slot| match slot {
            Slot::Vacant(_) => "vacant",
            Slot::Occupied(_) => "occupied",
        });
    assert_eq!(seen.unwrap(), "vacant");
    assert_eq!(counts.get(&mut state, &1), None);
    assert!(counts.content(&mut state).is_empty());
}

pub(super) fn values_are_combined_in_order(subject: &Subject) {
    let mut program = Program::default();
    let mut texts: ReducingState<u64, String, _> = ReducingState::register(
        "texts",
        &mut program.tables,
        max(),
        |text: &mut String, next: String| {
            text.push_str(&next);
        },
    );
    let mut state = subject.open(&program, &[]);
    for text in ["a", "b", "c"] {
        texts.add(&mut *state, hash(&1_u64), 1, text.to_owned()).unwrap();
    }
    let handles = subject.snapshot(&mut state);
    for state in [&mut state, &mut subject.open(&program, &handles)] {
        texts.add(&mut **state, hash(&1_u64), 1, "d".to_owned()).unwrap();
        let value = texts.as_value().value(&mut **state, hash(&1_u64), &1).unwrap();
        assert_eq!(value.as_deref(), Some("abcd"));
    }
}

/// Keys come again within a batch and from batch to batch; one batch is taken while a snapshot waits,
/// which is another path in some backends.
pub(super) fn a_batch_equals_its_single_updates_with_repeated_keys(subject: &Subject) {
    let mut program = Program::default();
    let fold = |sum: &mut u64, next: u64| *sum = sum.wrapping_mul(3).wrapping_add(next);
    let mut sums = ReducingState::register("sums", &mut program.tables, max(), fold);
    let mut state = subject.open(&program, &[]);
    let mut expected = BTreeMap::new();
    let mut waiting = Vec::new();
    for (round, len) in [(0, 1), (1, 0), (2, 700), (3, 5_000), (4, 1_000)] {
        let entries: Vec<(u64, u64)> = (0..len).map(|i| ((i * i + round) % 997, i)).collect();
        let hashes: Vec<u64> = entries.iter().map(|(key, _)| hash(key)).collect();
        let single: Vec<u64> = entries
            .iter()
            .map(|(key, value)| {
                let sum = expected.entry(*key).and_modify(|sum| fold(sum, *value));
                *sum.or_insert(*value)
            })
            .collect();
        let mut batched = Vec::new();
        sums.add_batch(&mut *state, &hashes, entries.into_iter(), |index, sum| {
            assert_eq!(index, batched.len());
            batched.push(*sum);
        })
        .unwrap();
        assert_eq!(batched, single, "round {round}");
        if round == 3 {
            waiting.push(freeze(&mut state));
        }
    }
    subject.persist_all(&mut state, waiting).pop().unwrap().unwrap();
    let mut content = BTreeMap::new();
    let mut table = sums.as_value().table(&mut *state).unwrap();
    table
        .scan(&mut |key, sum| {
            content.insert(*key, *sum);
            Ok(())
        })
        .unwrap();
    assert_eq!(content, expected);
}

/// Only of tables of bytes: live values are where they are.
pub(super) fn keys_that_are_read_together_have_the_values_of_each(subject: &Subject) {
    let mut program = Program::default();
    let numbers = ValueState::<u64, u64>::register("numbers", &mut program.tables, max());
    let mut state = subject.open(&program, &[]);
    for key in (0..500_u64).filter(|key| key % 3 != 0) {
        numbers.update(&mut *state, hash(&key), key, key * 7).unwrap();
    }
    let Ok(TableRef::Bytes(table)) = state.table(TableId(0)) else {
        return;
    };
    let mut hasher = StableHasher::new();
    let mut asked = |key| (max().key_group(hash(&key)), hasher.encode(&key).unwrap().to_vec());
    let asked: Vec<(KeyGroup, Vec<u8>)> = (0..500_u64).rev().map(&mut asked).collect();
    let keys: Vec<_> = asked.iter().map(|(group, key)| (*group, &**key)).collect();
    for keys in [&keys[..], &keys[..1], &[]] {
        let single = keys.iter().map(|(group, key)| table.get(*group, key).unwrap());
        let single: Vec<_> = single.collect();
        assert_eq!(table.get_many(keys).unwrap(), single);
    }
}
