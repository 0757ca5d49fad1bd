//! Lists of a subtask, without keys.

use super::Registered;
use super::broadcast::two_types;
use snapline_core::{Data, Error, Result, SubtaskIndex};
use snapline_state::{OperatorState, OperatorStateKind, StateDescriptor};
use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

/// A list of a subtask of a function without keys. Made by
/// [`RuntimeContext::operator_list_state`](crate::RuntimeContext::operator_list_state) or
/// [`RuntimeContext::operator_union_list_state`](crate::RuntimeContext::operator_union_list_state); the default is a
/// placeholder until then.
///
/// How a restore deals the items out is told there. The list is in memory, encoded: appending costs one encoding, reading
/// decodes all, a checkpoint copies the table of its items. Where a function needs its items with each record it keeps them
/// in a field, and writes them here in [`ProcessFunction::snapshot`](crate::ProcessFunction::snapshot).
pub struct OperatorListState<T> {
    list: Registered<usize>,
    types: PhantomData<fn() -> T>,
}

/// A context that leads to the operator state of a subtask.
///
/// Sealed: contexts are made by operators alone.
pub trait OperatorStateContext: sealed::Lists {}

pub(crate) mod sealed {
    /// The way to the lists.
    pub trait Lists {
        #[doc(hidden)]
        fn lists(&mut self) -> &mut super::OperatorLists;
    }
}

impl<T: Data> OperatorListState<T> {
    /// A copy of the list.
    ///
    /// # Errors
    /// `Invalid` when what was restored is of another type.
    pub fn items(&self, context: &mut impl OperatorStateContext) -> Result<Vec<T>> {
        let lists = context.lists();
        let list = lists.list(self)?;
        match list.kind {
            ListKind::Split => lists.stored.items(&list.name),
            ListKind::Union => lists.stored.union_items(&list.name),
        }
    }

    /// Appends an item.
    ///
    /// # Errors
    /// `Invalid` when its `Serialize` fails.
    pub fn add(&self, context: &mut impl OperatorStateContext, item: &T) -> Result<()> {
        context.lists().push(self, item)
    }

    /// Replaces the list.
    ///
    /// # Errors
    /// `Invalid` when the `Serialize` of an item fails.
    pub fn update<'i>(
        &self,
        context: &mut impl OperatorStateContext,
        items: impl IntoIterator<Item = &'i T>,
    ) -> Result<()> {
        self.clear(context)?;
        let lists = context.lists();
        items.into_iter().try_for_each(|item| lists.push(self, item))
    }

    /// Removes all items.
    ///
    /// # Errors
    /// `Invalid` when the state was not registered.
    pub fn clear(&self, context: &mut impl OperatorStateContext) -> Result<()> {
        let lists = context.lists();
        let OperatorList { name, kind, .. } = lists.list(self)?.clone();
        match kind {
            ListKind::Split => lists.stored.clear_list(&name),
            ListKind::Union => lists.stored.clear_union(&name),
        }
        Ok(())
    }
}

/// How the items of a list are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    Split,
    Union,
}

impl ListKind {
    fn stored(self) -> OperatorStateKind {
        match self {
            Self::Split => OperatorStateKind::Split,
            Self::Union => OperatorStateKind::Union,
        }
    }
}

/// The lists of one subtask while it runs.
#[derive(Debug, Default)]
pub struct OperatorLists {
    stored: OperatorState,
    registered: Vec<OperatorList>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OperatorList {
    name: String,
    kind: ListKind,
    items: TypeId,
}

impl OperatorLists {
    /// The lists of a snapshot.
    pub(crate) fn restore(stored: &OperatorState) -> Self {
        Self {
            stored: stored.clone(),
            registered: Vec::new(),
        }
    }

    pub(crate) fn register<T: Data>(
        &mut self,
        descriptor: &StateDescriptor<T>,
        kind: ListKind,
    ) -> Result<OperatorListState<T>> {
        let name = descriptor.name();
        let list = OperatorList {
            name: name.to_owned(),
            kind,
            items: TypeId::of::<T>(),
        };
        let known = self.registered.iter().position(|known| known.name == name);
        let index = match known {
            Some(index) if self.registered[index] == list => index,
            Some(_) => return Err(two_types().with("state", name)),
            None => {
                self.stored.declare::<(), T>(kind.stored(), descriptor)?;
                self.registered.push(list);
                self.registered.len() - 1
            }
        };
        Ok(OperatorListState {
            list: Registered(Some(index)),
            types: PhantomData,
        })
    }

    /// All are registered that will be. Of union lists that nobody has asked for one subtask keeps the items, or each
    /// restore would multiply them.
    pub(crate) fn begin(&mut self, subtask: SubtaskIndex) {
        let registered = &self.registered;
        let is_wanted = |name: &str| {
            let mut unions = registered.iter().filter(|list| list.kind == ListKind::Union);
            unions.any(|list| list.name == name)
        };
        self.stored
            .retain_unions(|name| subtask == SubtaskIndex(0) || is_wanted(name));
    }

    /// Whether a function has asked for a list.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.registered.is_empty()
    }

    /// What a snapshot takes.
    pub(crate) fn frozen(&self) -> OperatorState {
        self.stored.clone()
    }

    fn push<T: Data>(&mut self, state: &OperatorListState<T>, item: &T) -> Result<()> {
        let OperatorList { name, kind, .. } =
            self.registered.get(*state.list.state()?).ok_or_else(foreign)?;
        match kind {
            ListKind::Split => self.stored.push(name, item),
            ListKind::Union => self.stored.push_union(name, item),
        }
    }

    fn list<T: Data>(&self, state: &OperatorListState<T>) -> Result<&OperatorList> {
        self.registered.get(*state.list.state()?).ok_or_else(foreign)
    }
}

#[cold]
fn foreign() -> Error {
    Error::invalid("a list of operator state is used in another function than the one that registered it")
}

impl<T> Clone for OperatorListState<T> {
    fn clone(&self) -> Self {
        Self {
            list: self.list.clone(),
            types: PhantomData,
        }
    }
}

impl<T> Default for OperatorListState<T> {
    fn default() -> Self {
        Self {
            list: Registered::default(),
            types: PhantomData,
        }
    }
}

impl<T> fmt::Debug for OperatorListState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorListState")
    }
}
