//! State without keys: lists that are dealt out again when the parallelism changes.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snapline_core::{Error, Result};
use std::collections::BTreeMap;

/// Named lists of items that a subtask keeps beside its keyed state: split positions of a source,
/// transactions of a sink.
///
/// After a restore with another parallelism each item is found in exactly one subtask. With the
/// same parallelism every subtask finds its own items.
///
/// ```
/// use snapline_state::OperatorState;
///
/// let mut state = OperatorState::new();
/// state.push("offsets", &("file.txt", 42_u64))?;
/// assert_eq!(state.items::<(String, u64)>("offsets")?, [("file.txt".to_owned(), 42)]);
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    lists: BTreeMap<String, Vec<Bytes>>,
}

impl OperatorState {
    /// No lists.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are no lists.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Appends an item to the list of this name.
    ///
    /// # Errors
    /// `Invalid` when the item's `Serialize` fails.
    pub fn push<T: Serialize>(&mut self, list: &str, item: &T) -> Result<()> {
        let bytes = postcard::to_allocvec(item).map_err(|error| {
            Error::invalid("operator state cannot be encoded")
                .with("list", list)
                .because(error)
        })?;
        self.lists.entry(list.to_owned()).or_default().push(bytes.into());
        Ok(())
    }

    /// The items of the list of this name; none when it was never written.
    ///
    /// # Errors
    /// `Invalid` when the stored items are not of type `T`.
    pub fn items<T: DeserializeOwned>(&self, list: &str) -> Result<Vec<T>> {
        let items = self.lists.get(list).into_iter().flatten();
        items.map(|bytes| decode_item(list, bytes)).collect()
    }

    /// All lists with their items as they are encoded, in the order of their names.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &[Bytes])> {
        self.lists
            .iter()
            .map(|(name, items)| (name.as_str(), items.as_slice()))
    }

    /// The state as bytes.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub fn encode(&self) -> Result<Bytes> {
        let bytes = postcard::to_allocvec(self);
        bytes
            .map(Bytes::from)
            .map_err(|error| Error::internal("operator state cannot be encoded").because(error))
    }

    /// The state that these bytes hold.
    ///
    /// # Errors
    /// `Corrupted` when they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes)
            .map_err(|error| Error::corrupted("operator state cannot be decoded").because(error))
    }

    /// Deals the states of all old subtasks, in subtask order, out to `parallelism` new ones.
    ///
    /// Each list is joined and cut into contiguous runs whose lengths differ by at most one; which
    /// subtasks get the longer runs rotates from list to list. With the same parallelism nothing moves.
    pub fn redistribute(old: Vec<Self>, parallelism: usize) -> Vec<Self> {
        if old.len() == parallelism {
            return old;
        }
        let mut joined: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
        for (name, items) in old.into_iter().flat_map(|state| state.lists) {
            joined.entry(name).or_default().extend(items);
        }
        let mut dealt = vec![Self::new(); parallelism];
        let mut first_longer = 0;
        for (name, items) in joined {
            let longer = deal(&name, items, first_longer, &mut dealt);
            first_longer = (first_longer + longer) % parallelism;
        }
        dealt
    }
}

fn deal(name: &str, items: Vec<Bytes>, first_longer: usize, subtasks: &mut [OperatorState]) -> usize {
    let (base, longer) = (items.len() / subtasks.len(), items.len() % subtasks.len());
    let mut items = items.into_iter();
    let count = subtasks.len();
    for (index, subtask) in subtasks.iter_mut().enumerate() {
        let turn = (index + count - first_longer) % count;
        let run: Vec<Bytes> = items.by_ref().take(base + usize::from(turn < longer)).collect();
        if !run.is_empty() {
            subtask.lists.insert(name.to_owned(), run);
        }
    }
    longer
}

fn decode_item<T: DeserializeOwned>(list: &str, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::invalid("restored operator state is not of the type that the program expects")
            .with("list", list)
            .with("expected type", std::any::type_name::<T>())
            .because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
