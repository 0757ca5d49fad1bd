//! A job that writes to PostgreSQL is killed at any moment, and so is the server; every row is there once.
//!
//! `cargo xtask chaos --sink postgres` runs the same for longer. Settings come from the environment:
//! `SNAPLINE_CHAOS_KILLS` and `SNAPLINE_CHAOS_RESTARTS` (of the server), in all; `SNAPLINE_CHAOS_SEED`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(clippy::print_stdout, reason = "the seed of a failed run must be known")]

mod job;
mod outside;
mod plan;

use outside::Outside;
use plan::{Act, Plan};
use snapline_testkit::services::skip;
use std::time::Duration;

/// What a sink does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Prepared,
    Staged,
    Upsert,
}

impl Form {
    /// How many rows a job writes, so that all take about as long.
    fn rows(self) -> u64 {
        match self {
            Self::Prepared => 6_000_000,
            Self::Staged => 800_000,
            Self::Upsert => 300_000,
        }
    }
}

const FORMS: [Form; 3] = [Form::Prepared, Form::Staged, Form::Upsert];

/// Not a test of its own: the program that is killed.
#[test]
fn job() {
    if let Ok(arguments) = std::env::var(job::ARGUMENTS) {
        job::run(&arguments).unwrap();
    }
}

#[test]
fn killed_at_any_moment_a_job_and_its_server_have_every_row_once() {
    let Ok(mut outside) = Outside::start().map_err(skip) else {
        return;
    };
    let mut plan = Plan::read();
    let mut round = 0;
    let mut kills = [0; FORMS.len()];
    while !plan.is_done() {
        let form = FORMS[round % FORMS.len()];
        let table = format!("rows_{round}");
        let job = outside.prepare(form, &table);
        let mut running = job.start();
        while let Some((act, after)) = plan.next() {
            if running.ends_within(after) {
                break;
            }
            match act {
                Act::Kill => {
                    kills[round % FORMS.len()] += 1;
                    running.kill();
                    running = job.start();
                }
                Act::Restart => outside.restart_server(),
            }
            plan.done(act);
        }
        running.finish();
        outside.assert_exactly_once(&table, form.rows());
        // Everything is done already, and nothing may change.
        job.start().finish();
        outside.assert_exactly_once(&table, form.rows());
        round += 1;
        println!("round {round}, {form:?}: every row once; {plan}, kills by form {kills:?}");
    }
}

/// Longer than any job takes that is not disturbed.
const LIMIT: Duration = Duration::from_secs(120);
