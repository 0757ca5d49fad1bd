//! The coordinator and the store, seen from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod bases;
mod coordinator;
mod coordinator_oracle;
mod coordinator_properties;
mod coordinator_savepoints;
mod coordinator_several;
mod coordinator_statistics;
mod coordinator_tasks;
mod crash;
mod delete;
mod garbage;
mod local;
mod origin;
mod proof;
mod races;
mod savepoint;
mod savepoint_races;
mod script;
mod storage;
mod store;
mod story;
mod world;
