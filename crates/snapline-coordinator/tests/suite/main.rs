//! The coordinator and the store, seen from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod coordinator;
mod coordinator_properties;
mod crash;
mod finishing;
mod garbage;
mod local;
mod oracle;
mod races;
mod savepoints;
mod script;
mod several;
mod storage;
mod store;
mod world;
