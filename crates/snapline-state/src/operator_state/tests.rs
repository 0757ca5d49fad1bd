//! Tests of operator state.

use super::*;
use proptest::prelude::*;

fn state(list: &str, items: &[u32]) -> OperatorState {
    let mut state = OperatorState::new();
    items.iter().for_each(|item| state.push(list, item).unwrap());
    state
}

fn loads(states: &[OperatorState]) -> Vec<Vec<u32>> {
    states.iter().map(|state| state.items("a").unwrap()).collect()
}

#[test]
fn items_are_dealt_out_in_contiguous_runs_that_differ_by_at_most_one() {
    let old = || vec![state("a", &[1, 2, 3, 4]), state("a", &[]), state("a", &[5])];
    let cases: [(usize, &[&[u32]]); 4] = [
        (1, &[&[1, 2, 3, 4, 5]]),
        (2, &[&[1, 2, 3], &[4, 5]]),
        (3, &[&[1, 2, 3, 4], &[], &[5]]),
        (7, &[&[1], &[2], &[3], &[4], &[5], &[], &[]]),
    ];
    for (parallelism, expected) in cases {
        assert_eq!(
            loads(&OperatorState::redistribute(old(), parallelism)),
            expected,
            "{parallelism}"
        );
    }
}

#[test]
fn the_longer_runs_rotate_so_that_loads_stay_even() {
    let mut one = state("a", &[1, 2, 3]);
    for item in 4..7_u32 {
        one.push("b", &item).unwrap();
    }
    let dealt = OperatorState::redistribute(vec![one], 2);
    let load = |state: &OperatorState| state.lists.values().map(Vec::len).sum::<usize>();
    assert_eq!(dealt.iter().map(load).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn state_of_another_type_is_a_clear_error() {
    let error = state("a", &[300]).items::<String>("a").unwrap_err();
    assert_eq!(error.context("list"), Some("a"));
}

#[test]
fn bytes_that_are_no_state_are_corrupted() {
    let bytes = state("a", &[1, 2]).encode().unwrap();
    assert_eq!(OperatorState::decode(&bytes).unwrap(), state("a", &[1, 2]));
    assert!(OperatorState::decode(&bytes[..bytes.len() - 1]).is_err());
}

/// A state of each kind, with two lists and two union lists.
fn states(sizes: &[[usize; 3]]) -> Vec<OperatorState> {
    let mut number = 0..;
    let mut state = |[a, b, union]: &[usize; 3]| {
        let mut state = OperatorState::new();
        for (name, count) in [("a", a), ("b", b)] {
            for item in number.by_ref().take(*count) {
                state.push(name, &item).unwrap();
            }
        }
        for item in number.by_ref().take(*union) {
            state.push_union("a", &item).unwrap();
        }
        state.put_broadcast("rules", &1_u8, &"rule".to_owned()).unwrap();
        state
    };
    sizes.iter().map(&mut state).collect()
}

/// The items of all subtasks, one behind the other.
fn all(states: &[OperatorState], items: impl Fn(&OperatorState) -> Result<Vec<u32>>) -> Vec<u32> {
    states.iter().flat_map(|state| items(state).unwrap()).collect()
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_doubled_at_any_parallelism(
        sizes in prop::collection::vec(prop::array::uniform3(0_usize..6), 1..6),
        parallelisms in prop::collection::vec(1_usize..7, 1..4),
    ) {
        let old = states(&sizes);
        let mut now = old.clone();
        let unions = all(&old, |state| state.union_items("a"));
        for parallelism in parallelisms {
            now = OperatorState::redistribute(now, parallelism);
            prop_assert_eq!(now.len(), parallelism);
            for list in ["a", "b"] {
                let items = |state: &OperatorState| state.items(list);
                prop_assert_eq!(all(&now, items), all(&old, items));
                let loads = || now.iter().map(|state| items(state).unwrap().len());
                let is_even = loads().max().unwrap() - loads().min().unwrap() <= 1;
                prop_assert!(is_even || parallelism == sizes.len());
            }
            for state in &now {
                prop_assert_eq!(&state.union_items::<u32>("a").unwrap(), &unions);
                prop_assert_eq!(state.broadcast("rules", &1_u8).unwrap(), Some("rule".to_owned()));
            }
            // Each subtask keeps a part of the union, as an operator would.
            for (index, state) in now.iter_mut().enumerate() {
                let mut own = OperatorState { unions: Lists::new(), ..state.clone() };
                let per_subtask = unions.len().div_ceil(parallelism).max(1);
                for item in unions.chunks(per_subtask).nth(index).into_iter().flatten() {
                    own.push_union("a", item).unwrap();
                }
                *state = own;
            }
        }
    }
}

#[test]
fn a_subtask_finds_the_broadcast_map_of_its_number_modulo_the_old_parallelism() {
    let old: Vec<_> = (0..3_u32)
        .map(|subtask| {
            let mut state = OperatorState::new();
            state.put_broadcast("owner", &"is", &subtask).unwrap();
            state
        })
        .collect();
    for parallelism in [1, 2, 3, 7] {
        let owners: Vec<u32> = OperatorState::redistribute(old.clone(), parallelism)
            .iter()
            .map(|state| state.broadcast("owner", &"is").unwrap().unwrap())
            .collect();
        assert!(
            owners
                .into_iter()
                .eq((0..parallelism as u32).map(|index| index % 3))
        );
    }
}

#[test]
fn kinds_of_the_same_name_are_independent_and_come_back_from_bytes() {
    let mut state = state("a", &[1]);
    state.push_union("a", &2_u32).unwrap();
    state.put_broadcast("a", &3_u32, &4_u32).unwrap();
    state.put_broadcast("a", &5_u32, &6_u32).unwrap();
    let bytes = state.encode().unwrap();
    let mut found = OperatorState::decode(&bytes).unwrap();
    assert_eq!(found, state);
    assert_eq!(found.items::<u32>("a").unwrap(), [1]);
    assert_eq!(found.union_items::<u32>("a").unwrap(), [2]);
    assert_eq!(
        found.broadcast_entries::<u32, u32>("a").unwrap(),
        [(3, 4), (5, 6)]
    );
    assert_eq!(found.remove_broadcast("a", &3_u32).unwrap(), Some(4_u32));
    assert_eq!(found.remove_broadcast::<_, u32>("a", &3_u32).unwrap(), None);
    assert_eq!(found.broadcast_entries::<u32, u32>("a").unwrap(), [(5, 6)]);
    for end in 0..bytes.len() {
        assert!(
            OperatorState::decode(&bytes[..end]).ok() != Some(state.clone()),
            "{end}"
        );
    }
}

/// What was stored before there were other kinds.
#[test]
fn a_state_of_lists_alone_is_stored_as_ever() {
    let lists = BTreeMap::from([("a".to_owned(), vec![Bytes::from_static(&[7])])]);
    let bytes = postcard::to_allocvec(&lists).unwrap();
    let found = OperatorState::decode(&bytes).unwrap();
    assert_eq!(found, state("a", &[7]));
    assert_eq!(found.encode().unwrap(), bytes);
}
