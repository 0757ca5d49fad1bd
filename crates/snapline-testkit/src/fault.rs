//! Storages that fail on purpose, wrapped around one that does not.
//!
//! Nothing here is left to chance: a [`Schedule`] says which calls fail, by number or by a seed.
//! [`Flaky`] keeps the contract of [`CheckpointStorage`], and so does [`Lying`] but for `put`: whatever
//! runs on them has to come through. [`Torn`] and [`Amnesiac`] break it, for tests that show who notices.
//!
//! [`CheckpointStorage`]: snapline_state::CheckpointStorage

mod amnesiac;
mod flaky;
mod lying;
mod schedule;
mod torn;

pub use amnesiac::Amnesiac;
pub use flaky::Flaky;
pub use lying::Lying;
#[cfg(feature = "simulation")]
pub(crate) use schedule::splitmix64;
pub use schedule::{Operation, Schedule};
pub use torn::Torn;

use snapline_core::Error;
use std::fmt::Display;

fn injected(operation: Operation, key: impl Display) -> Error {
    Error::unavailable("the storage was made to fail")
        .with("operation", operation)
        .with("key", key)
}

#[cfg(test)]
mod tests;
