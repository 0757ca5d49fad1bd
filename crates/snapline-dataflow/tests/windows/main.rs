//! Windows on the harness: scenarios after those of Flink, at several parallelisms and through restores.
#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod bad_input;
mod event_time;
mod evictors;
mod processing_time;
mod script;
mod sessions;
mod triggers;
