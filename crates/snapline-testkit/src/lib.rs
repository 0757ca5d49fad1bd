//! Conformance suites and faults for Snapline's traits.
//!
//! Who implements a trait runs its suite: [`checkpoint_storage_suite!`] makes one test of each
//! sentence of the contract of [`snapline_state::CheckpointStorage`], [`state_backend_suite!`] one of
//! each that operators rely on in a [`snapline_state::StateBackend`], [`source_suite!`] and [`sink_suite!`] one of each that
//! a job relies on in a [`snapline_connector::Source`] and a [`snapline_connector::Sink`]. Who uses a storage runs on
//! [`fault`]s: storages that fail on purpose. Who writes a job, a source or a sink lets the `simulation` (a
//! feature, off by default) run it through thousands of crashes. Who writes an operator or a function over streams drives it
//! step by step with the `harness` (a feature). Who talks to a server finds one in `services` (a
//! feature too).

pub mod checkpoint_storage;
pub mod fault;
#[cfg(feature = "harness")]
pub mod harness;
mod outcome;
#[cfg(feature = "services")]
pub mod services;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod sink;
pub mod source;
pub mod state_backend;
