//! Whole jobs in a simulated world, in which everything that can go wrong does.
//!
//! A [`Simulation`] runs the user's own job, unchanged, thousands of times on one thread and in virtual time.
//! For each run a seed decides everything: which task runs next, how long a message or a call of the storage
//! takes, when a step panics, when the whole process is killed, and what the storage makes of the calls that the
//! dead process had under way. Then the program is started again in the same world, until the job ends.
//! The same seed makes the same run, step by step, so that what was found once can be looked at again.
//!
//! At the end each record must be visible exactly as often as the user says. Besides, nothing may become visible
//! before its checkpoint exists, the job must end once the faults cease, and running it once more must
//! change nothing.
//!
//! ```
//! use snapline_testkit::simulation::Simulation;
//!
//! Simulation::seeds(0..20)
//!     .run(|env, world| {
//!         env.from_source(world.source(0..60_u64), "numbers")
//!             .map(|number| (number % 3, 1_u64))
//!             .key_by(|(remainder, _)| *remainder)
//!             .sum(|(_, count)| count)
//!             .sink_to(world.sink());
//!     })
//!     .expect_exactly_once((0..60_u64).map(|number| (number % 3, number / 3 + 1)));
//! ```
//!
//! When a seed fails, the panic names it, the faults that it takes, and the command that runs it again, and shows
//! a trace: barriers, snapshots, commits, crashes and faults at their times. Faults are left out one kind after the
//! other as long as the run still fails, so that the trace is short.
//!
//! # What the job must not do
//! A run is only as repeatable as the job: a job that reads the time, draws random numbers, iterates over a
//! `HashMap` of the standard library, or starts threads is another one each time. Everything of Snapline lives
//! by the clock and the executor of the simulation.
//!
//! # What is not simulated
//! Damaged files (the storage keeps its contract; see [`crate::fault`] for storages that do not), two processes
//! that run at the same time, and data races within a step.

mod dice;
mod executor;
mod fate;
mod faults;
mod intervention;
mod network;
mod plan;
mod run;
mod settings;
mod storage;
mod time;
mod trace;
mod verdict;
mod world;

pub use faults::Faults;
pub use plan::{Simulated, Simulation};
pub use verdict::{Failure, Report};
pub use world::{Output, Transaction, World, WorldSink, WorldSource, WorldSplit};
