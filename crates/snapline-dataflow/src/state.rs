//! States of functions.
//!
//! Those per key are states of `snapline-state` that take the key from the [`ProcessContext`].
//!
//! [`ProcessContext`]: crate::ProcessContext

mod broadcast;
mod collection;
mod operator_list;
mod per_key;
mod single;

pub(crate) use broadcast::BroadcastMaps;
pub use broadcast::{BroadcastState, BroadcastStateMut};
pub use collection::{ListState, MapState};
pub(crate) use operator_list::sealed::Lists;
pub(crate) use operator_list::{ListKind, OperatorLists};
pub use operator_list::{OperatorListState, OperatorStateContext};
pub use per_key::StatePerKey;
pub use single::{AggregatingState, ReducingState, ValueState};

use snapline_core::{Error, Result};

/// A state, once it is registered.
#[derive(Debug, Clone)]
struct Registered<S>(Option<S>);

impl<S> Default for Registered<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S> Registered<S> {
    #[inline]
    fn state(&self) -> Result<&S> {
        self.0.as_ref().ok_or_else(unregistered)
    }

    #[inline]
    fn state_mut(&mut self) -> Result<&mut S> {
        self.0.as_mut().ok_or_else(unregistered)
    }
}

#[cold]
fn unregistered() -> Error {
    Error::invalid("a state is used that was not registered; register it in `open`")
}
