//! The program on checkpoints of real jobs.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod change;
mod forged;
mod look;
mod operator_state;
mod support;
