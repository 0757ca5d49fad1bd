//! State without keys, dealt out again when the parallelism changes.

mod broadcast;
mod meta;
mod stored;

pub use meta::OperatorStateKind;

use bytes::Bytes;
use meta::Metas;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a subtask keeps beside its keyed state, by name. How a restore deals it out is a matter of
/// the kind:
///
/// * A *list* is split: each item is found in exactly one subtask. With the same parallelism every
///   subtask finds its own items. For positions of a source, transactions of a sink.
/// * A *union list* is given whole to all: each subtask finds the items of all subtasks, those of the
///   first one first, at the same parallelism too. What is not its own a subtask has to leave out of
///   its next snapshot, or the list grows. Once some subtasks have ended and others not, checkpoints fail:
///   the items of those that have ended would be missing.
/// * A *broadcast map* is the same in all subtasks, and each stores its copy: subtask `i` finds that of
///   subtask `i` modulo the old parallelism. For rules that all subtasks have been told in the same
///   order.
///
/// The kinds have names of their own: a list and a union list of one name are two things.
///
/// ```
/// use snapline_state::OperatorState;
///
/// let mut state = OperatorState::new();
/// state.push("offsets", &("file.txt", 42_u64))?;
/// state.push_union("seen", &"host-1")?;
/// state.put_broadcast("rules", &"limit", &100_u64)?;
/// assert_eq!(state.items::<(String, u64)>("offsets")?, [("file.txt".to_owned(), 42)]);
///
/// let restored = OperatorState::redistribute(vec![state], 2);
/// let offsets = |subtask: usize| restored[subtask].items::<(String, u64)>("offsets");
/// assert_eq!((offsets(0)?.len(), offsets(1)?.len()), (1, 0));
/// for subtask in &restored {
///     assert_eq!(subtask.union_items::<String>("seen")?, ["host-1"]);
///     assert_eq!(subtask.broadcast("rules", &"limit")?, Some(100_u64));
/// }
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorState {
    lists: Lists,
    unions: Lists,
    maps: BTreeMap<String, Map>,
    metas: Metas,
}

/// Shared with the snapshots of it: a clone costs nothing, and the next change copies the map, not what is in it.
type Map = Arc<BTreeMap<Bytes, Bytes>>;
type Lists = BTreeMap<String, Vec<Bytes>>;

impl OperatorState {
    /// No state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no state.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.unions.is_empty() && self.maps.is_empty()
    }

    /// Whether there are union lists.
    pub fn has_unions(&self) -> bool {
        !self.unions.is_empty()
    }

    /// Appends an item to the list of this name.
    ///
    /// # Errors
    /// `Invalid` when the item's `Serialize` fails.
    pub fn push<T: Serialize>(&mut self, list: &str, item: &T) -> Result<()> {
        push_to(&mut self.lists, list, item)
    }

    /// The items of the list of this name; none when it was never written.
    ///
    /// # Errors
    /// `Invalid` when the stored items are not of type `T`.
    pub fn items<T: DeserializeOwned>(&self, list: &str) -> Result<Vec<T>> {
        items_of(&self.lists, list)
    }

    /// All lists with their items as they are encoded, in the order of their names.
    pub fn lists(&self) -> impl Iterator<Item = (&str, &[Bytes])> {
        self.lists
            .iter()
            .map(|(name, items)| (name.as_str(), items.as_slice()))
    }

    /// All union lists with their items as they are encoded, in the order of their names.
    pub fn unions(&self) -> impl Iterator<Item = (&str, &[Bytes])> {
        self.unions
            .iter()
            .map(|(name, items)| (name.as_str(), items.as_slice()))
    }

    /// All broadcast maps with their entries as they are encoded, in the order of their names.
    pub fn broadcast_maps(&self) -> impl Iterator<Item = (&str, &BTreeMap<Bytes, Bytes>)> {
        self.maps.iter().map(|(name, map)| (name.as_str(), &**map))
    }

    /// Appends an item to the union list of this name.
    ///
    /// # Errors
    /// `Invalid` when the item's `Serialize` fails.
    pub fn push_union<T: Serialize>(&mut self, list: &str, item: &T) -> Result<()> {
        push_to(&mut self.unions, list, item)
    }

    /// The items of the union list of this name: after a restore those of all subtasks.
    ///
    /// # Errors
    /// `Invalid` when the stored items are not of type `T`.
    pub fn union_items<T: DeserializeOwned>(&self, list: &str) -> Result<Vec<T>> {
        items_of(&self.unions, list)
    }

    /// Removes the list of this name.
    pub fn clear_list(&mut self, list: &str) {
        self.lists.remove(list);
    }

    /// Removes the union list of this name.
    pub fn clear_union(&mut self, list: &str) {
        self.unions.remove(list);
    }

    /// Keeps the union lists of these names.
    pub fn retain_unions(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.unions.retain(|name, _| keep(name));
    }

    /// Deals the states of all old subtasks, in subtask order, out to `parallelism` new ones.
    ///
    /// Each list is joined and cut into contiguous runs whose lengths differ by at most one; which
    /// subtasks get the longer runs rotates from list to list. With the same parallelism no list moves.
    pub fn redistribute(old: Vec<Self>, parallelism: usize) -> Vec<Self> {
        let mut metas = Metas::new();
        for (key, meta) in old.iter().flat_map(|state| &state.metas) {
            metas.entry(key.clone()).or_insert_with(|| meta.clone());
        }
        let unions = joined(old.iter().map(|state| state.unions.clone()));
        let maps: Vec<_> = old.iter().map(|state| state.maps.clone()).collect();
        let lists = old.into_iter().map(|state| state.lists).collect();
        let mut dealt = redistribute_lists(lists, parallelism);
        for (index, state) in dealt.iter_mut().enumerate() {
            state.unions.clone_from(&unions);
            state.metas.clone_from(&metas);
            if !maps.is_empty() {
                state.maps.clone_from(&maps[index % maps.len()]);
            }
        }
        dealt
    }
}

fn redistribute_lists(old: Vec<Lists>, parallelism: usize) -> Vec<OperatorState> {
    if old.len() == parallelism {
        let of_lists = |lists| OperatorState {
            lists,
            ..OperatorState::new()
        };
        return old.into_iter().map(of_lists).collect();
    }
    let mut dealt = vec![OperatorState::new(); parallelism];
    let mut first_longer = 0;
    for (name, items) in joined(old) {
        let longer = deal(&name, items, first_longer, &mut dealt);
        first_longer = (first_longer + longer) % parallelism;
    }
    dealt
}

/// The lists of all subtasks, those of the same name one behind the other.
fn joined(states: impl IntoIterator<Item = Lists>) -> Lists {
    let mut joined = Lists::new();
    for (name, items) in states.into_iter().flatten() {
        joined.entry(name).or_default().extend(items);
    }
    joined
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

fn push_to<T: Serialize>(lists: &mut Lists, list: &str, item: &T) -> Result<()> {
    let item = encode_item(list, item)?;
    lists.entry(list.to_owned()).or_default().push(item);
    Ok(())
}

fn items_of<T: DeserializeOwned>(lists: &Lists, list: &str) -> Result<Vec<T>> {
    let items = lists.get(list).into_iter().flatten();
    items.map(|bytes| decode_item(list, bytes)).collect()
}

fn encode_item<T: Serialize>(name: &str, item: &T) -> Result<Bytes> {
    let bytes = postcard::to_allocvec(item).map_err(|error| {
        Error::invalid("operator state cannot be encoded")
            .with("list", name)
            .because(error)
    })?;
    Ok(bytes.into())
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
mod tests;
