//! Operator state as a checkpoint has it: lists, union lists, and broadcast maps.

use bytes::Bytes;
use snapline_coordinator::OperatorManifest;
use snapline_core::Result;
use snapline_state::{CheckpointStorage, OperatorState, OperatorStateKind, TableMeta};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The operator state of all subtasks of one operator.
#[derive(Debug, Default)]
pub(crate) struct OperatorStates {
    /// Lists and union lists.
    pub(crate) lists: BTreeMap<(String, ListKind), List>,
    pub(crate) maps: BTreeMap<String, BroadcastMap>,
}

/// How the items of a list are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListKind {
    Split,
    Union,
}

/// The items of all subtasks.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// What it is of, if the program has said so.
    pub(crate) meta: Option<Arc<TableMeta>>,
    /// Each with the number of its subtask.
    pub(crate) items: Vec<(usize, Bytes)>,
}

/// A map of which each subtask has a copy.
#[derive(Debug)]
pub(crate) struct BroadcastMap {
    /// What it is of, if the program has said so.
    pub(crate) meta: Option<Arc<TableMeta>>,
    /// The copy of the first subtask that has one.
    pub(crate) entries: BTreeMap<Bytes, Bytes>,
}

impl OperatorStates {
    /// Reads what an operator has stored.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub(crate) async fn read(storage: &dyn CheckpointStorage, operator: &OperatorManifest) -> Result<Self> {
        let mut states = Self::default();
        for (index, subtask) in operator.subtasks.iter().enumerate() {
            if let Some(handle) = &subtask.operator {
                let state = OperatorState::decode(&handle.read(storage).await?)?;
                states.add(index, &state);
            }
        }
        Ok(states)
    }

    fn add(&mut self, subtask: usize, state: &OperatorState) {
        for (name, items) in state.lists() {
            self.list(name, ListKind::Split, state).extend(subtask, items);
        }
        for (name, items) in state.unions() {
            self.list(name, ListKind::Union, state).extend(subtask, items);
        }
        for (name, entries) in state.broadcast_maps() {
            let meta = state.meta(OperatorStateKind::Broadcast, name);
            let map = || BroadcastMap {
                meta: meta.cloned(),
                entries: entries.clone(),
            };
            self.maps.entry(name.to_owned()).or_insert_with(map);
        }
    }

    fn list(&mut self, name: &str, kind: ListKind, state: &OperatorState) -> &mut List {
        let list = self.lists.entry((name.to_owned(), kind)).or_default();
        if list.meta.is_none() {
            list.meta = state.meta(kind.stored(), name).cloned();
        }
        list
    }
}

impl List {
    fn extend(&mut self, subtask: usize, items: &[Bytes]) {
        self.items
            .extend(items.iter().map(|item| (subtask, item.clone())));
    }

    /// How many bytes all items have.
    pub(crate) fn bytes(&self) -> u64 {
        self.items.iter().map(|(_, item)| item.len() as u64).sum()
    }
}

impl BroadcastMap {
    /// How many bytes the keys and values have.
    pub(crate) fn bytes(&self) -> u64 {
        let entries = self.entries.iter();
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

impl ListKind {
    /// As it is shown.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Union => "union",
        }
    }

    fn stored(self) -> OperatorStateKind {
        match self {
            Self::Split => OperatorStateKind::Split,
            Self::Union => OperatorStateKind::Union,
        }
    }
}
