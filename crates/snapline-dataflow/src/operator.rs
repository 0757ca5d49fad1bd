//! The operators, one per file.

pub(crate) mod accumulate;
pub(crate) mod aggregate;
pub(crate) mod assign;
pub(crate) mod async_io;
pub(crate) mod broadcast;
pub(crate) mod collector;
mod event_time;
pub(crate) mod filter;
pub(crate) mod flat_map;
pub(crate) mod fold;
pub(crate) mod function;
pub(crate) mod identity;
pub(crate) mod key_by;
pub(crate) mod keyed_broadcast;
mod keyed_state;
pub(crate) mod located;
pub(crate) mod map;
mod once;
pub(crate) mod process;
pub(crate) mod reduce;
pub(crate) mod sessions;
pub(crate) mod sink;
pub(crate) mod sliced;
pub(crate) mod source;
pub(crate) mod timers;
pub(crate) mod window;
pub(crate) mod wrap;
