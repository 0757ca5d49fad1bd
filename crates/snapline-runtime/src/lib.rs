//! Runs Snapline jobs.
//!
//! A [`LocalCluster`] runs a job in this process. For each attempt it restores the newest checkpoint,
//! builds one task for each subtask of each chain, connects them by [`InputGate`]s and
//! [`ResultPartition`]s, and lets the checkpoint coordinator decide when barriers go out.
//!
//! Tasks are futures on an [`Executor`]. A task is polled with what its channels deliver and never waits
//! inside a call, so the same tasks run on tokio and on any other executor.

mod attempt;
mod cluster;
mod deploy;
mod executor;
mod finished;
mod gate;
mod history;
mod in_flight;
mod lead;
mod network;
mod observed;
mod port;
mod probe;
mod regions;
mod restore;
mod spill;
mod status;
mod storing;
mod task;

pub use cluster::{ClusterParts, LocalCluster};
pub use executor::{Executor, TokioExecutor};
pub use gate::{GateSender, InputGate, input_gate};
pub use network::Network;
pub use port::ResultPartition;
pub use probe::{JobStep, Probe, TaskStep};
