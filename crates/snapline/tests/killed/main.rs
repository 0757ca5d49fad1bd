//! A job is killed at any moment, and so is what it writes to; everything is there once, and nothing is left behind.
//!
//! `cargo xtask chaos --sink NAME` runs one of these for longer. Settings come from the environment: `SNAPLINE_CHAOS_KILLS` and
//! `SNAPLINE_CHAOS_RESTARTS` (of the server), in all; `SNAPLINE_CHAOS_SEED`; `SNAPLINE_CHAOS_FORM`, for a sink that has several.
//! Each sink but that to files needs its feature.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::print_stdout, reason = "the seed of a failed run must be known")]

mod chaos;
mod files;
mod job;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "aws")]
mod objects;
mod outside;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;

use chaos::run;
use outside::Form;

/// Not a test of its own: the program that is killed.
#[test]
fn job() {
    if let Ok(arguments) = std::env::var(job::ARGUMENTS) {
        job::run(&arguments).unwrap();
    }
}

#[test]
fn killed_at_any_moment_a_job_has_every_row_once_in_files() {
    run(files::Files::start, &[Form::Files]);
}

#[cfg(feature = "aws")]
#[test]
fn killed_at_any_moment_a_job_has_every_row_once_in_objects() {
    run(objects::Objects::start, &[Form::Objects]);
}

#[cfg(feature = "kafka")]
#[test]
fn killed_at_any_moment_a_job_has_every_row_once_in_kafka() {
    run(kafka::Kafka::start, &[Form::Kafka]);
}

#[cfg(feature = "nats")]
#[test]
fn killed_at_any_moment_a_job_has_every_row_once_in_nats() {
    run(nats::Streams::start, &[Form::Nats]);
}

#[cfg(feature = "postgres")]
#[test]
fn killed_at_any_moment_a_job_has_every_row_once_in_postgres() {
    run(
        postgres::Tables::start,
        &[Form::Prepared, Form::Staged, Form::Upsert],
    );
}
