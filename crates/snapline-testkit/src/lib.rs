//! Conformance suites and faults for Snapline's traits.
//!
//! Who implements a trait runs its suite: [`checkpoint_storage_suite!`] makes one test of each
//! sentence of the contract of [`snapline_state::CheckpointStorage`]. Who uses the trait runs on
//! [`fault`]s: storages that fail on purpose.

pub mod checkpoint_storage;
pub mod fault;
