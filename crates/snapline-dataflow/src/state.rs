//! States of the key of the record at hand.
//!
//! Each is a state of `snapline-state` that takes the key from the [`ProcessContext`].
//!
//! [`ProcessContext`]: crate::ProcessContext

mod collection;
mod single;

pub use collection::{ListState, MapState};
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
