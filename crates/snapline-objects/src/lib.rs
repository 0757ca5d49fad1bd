//! Opens object stores by URL, and says what their failures mean: for the checkpoint storage and the connector that are built on
//! them.
//!
//! [`connect`] takes a URL and options, stronger than the usual environment variables of the store. [`explain`] turns what a store
//! answers into an error that says what to do. [`Io`] is the thread that talks to the store, whatever executor its users have.

mod failure;
mod io;
mod retries;
mod target;

pub use failure::{Phase, beyond_end, explain, is_missing, is_refused, is_taken, passes};
pub use io::{Call, Io};
pub use retries::{Retries, random};
pub use target::{Options, StoreKind, Target, connect};
