//! The model checker: every order in which everything can happen in a small job.
//!
//! The machines are those of production: [`BarrierAligner`], [`BarrierTracker`] and [`LoopHead`], both ends of the
//! channels, the recorder of channel state, the clocks, and the [`CheckpointCoordinator`]. Around them is as
//! little as they need: queues, a storage that takes a manifest or does not, sinks with two-phase commit. Each
//! step of the world is atomic: a task takes one element, the coordinator one message, the storage one call. The
//! exploration tries all of them in every state that it reaches, and never looks at a state twice.
//!
//! # The jobs
//!
//! Two sources with a record each, shuffled to two mappers, and a sink (*shuffle*); with only one mapper
//! (*funnel*); and two sources, a loop of a head and a body, and a sink (*loop*). A record is a batch, a channel holds
//! one batch, a back edge any number. How much may happen is a [`Budget`]: checkpoints, aborts by the coordinator at
//! any moment, crashes of everything at any moment, storage calls that fail in each possible way.
//!
//! # What is promised
//!
//! [`Promise`] has the list. The oracle that compares ([`oracle`]) follows records and knows nothing of barriers,
//! counts and clocks. What the machines check themselves is a second net, and that they are never wrong to complain is
//! checked as well. [`broken`] shows that each promise can be seen to break, by each net.
//!
//! # Bounds
//!
//! An ordinary run has to end within a minute of one processor without optimization, and explores the budgets that
//! are named first in each test. Those that are named second are explored by
//!
//! ```sh
//! SNAPLINE_MODEL=full cargo nextest run --release -p snapline-coordinator --test model --no-capture
//! ```
//!
//! which takes a quarter of an hour and less than two gigabytes. That is all of 2 checkpoints with 1 abort and
//! 1 crash: aligned, unaligned, at least once, with and without a loop; 12.7 million states where barriers overtake in the
//! shuffle. Where a checkpoint may turn unaligned at any moment, that is so for the loop and the funnel, and the
//! shuffle is explored with 1 checkpoint, 1 abort and 1 crash. Two checkpoints at a time come with an abort or a crash.
//!
//! States are told apart by fingerprints of 128 bits, see [`part`]: the chance that one is missed is far below
//! that of a broken memory cell. What is left over from checkpoints that are over makes no difference, see
//! [`normal`], and orders that nobody can tell apart are tried once, see [`order`]. Not in here: tasks that end,
//! savepoints, regions that restart alone, several processes. Those are what the simulation and the property
//! tests are for.
//!
//! [`BarrierAligner`]: snapline_barrier::BarrierAligner
//! [`BarrierTracker`]: snapline_barrier::BarrierTracker
//! [`LoopHead`]: snapline_barrier::LoopHead
//! [`CheckpointCoordinator`]: snapline_coordinator::CheckpointCoordinator
//! [`Promise`]: promise::Promise
#![allow(clippy::print_stdout, reason = "an exploration says how far it went")]
#![expect(
    clippy::unwrap_used,
    reason = "what is only there for tests fails by panicking"
)]

mod act;
mod broken;
mod counterexample;
mod desk;
mod doubles;
mod explore;
mod flaw;
mod job;
mod normal;
mod oracle;
mod order;
mod outside;
mod part;
mod promise;
mod record;
mod send;
mod sent;
mod snapshot;
mod talk;
mod task;
mod world;

use explore::explore;
use job::{Acks, Budget, EdgeKind, Hearing, Job};
use snapline_core::{BarrierAlignment, ConsistencyProof};
use std::rc::Rc;

const ALIGNED: BarrierAlignment = BarrierAlignment::Aligned;
const UNALIGNED: BarrierAlignment = BarrierAlignment::Unaligned;
const WITH_TIMEOUT: BarrierAlignment = BarrierAlignment::AlignedWithTimeout { timeout_ms: 10 };
const AT_LEAST_ONCE: BarrierAlignment = BarrierAlignment::AtLeastOnce;

/// Checkpoints, aborts, crashes.
const FULL: Budget = budget(2, 1, 1);
const ALL_OF_ONE: Budget = budget(1, 1, 1);

const fn budget(triggers: u8, aborts: u8, crashes: u8) -> Budget {
    Budget {
        triggers,
        aborts,
        crashes,
        faults: 0,
    }
}

/// Explores a job: with these budgets always, with those if somebody asks for the full check.
fn check(job: &Job, always: &[Budget], in_full: &[Budget]) {
    let is_full = std::env::var("SNAPLINE_MODEL").is_ok_and(|wanted| wanted == "full");
    let budgets = if is_full { in_full } else { always };
    for budget in budgets {
        let budget = *budget;
        let job = Job {
            budget,
            ..job.clone()
        };
        match explore(&Rc::new(job)) {
            Ok(figures) => println!("{budget}: {figures}"),
            Err(found) => panic!("{budget}:\n{found}"),
        }
    }
}

#[test]
fn aligned_checkpoints_keep_every_promise() {
    let always = [budget(2, 1, 0), budget(2, 0, 1), ALL_OF_ONE];
    check(&Job::shuffle(ALIGNED), &always, &[FULL]);
}

#[test]
fn unaligned_checkpoints_keep_every_promise() {
    let always = [budget(2, 0, 0), budget(1, 0, 1)];
    check(&Job::shuffle(UNALIGNED), &always, &[FULL]);
    check(&Job::funnel(UNALIGNED), &[ALL_OF_ONE], &[FULL]);
}

#[test]
fn a_checkpoint_may_turn_unaligned_at_any_moment() {
    check(&Job::shuffle(WITH_TIMEOUT), &[budget(1, 0, 1)], &[ALL_OF_ONE]);
    check(&Job::funnel(WITH_TIMEOUT), &[ALL_OF_ONE], &[FULL]);
}

#[test]
fn at_least_once_loses_nothing() {
    check(
        &Job::shuffle(AT_LEAST_ONCE),
        &[budget(2, 0, 1), ALL_OF_ONE],
        &[FULL],
    );
}

#[test]
fn loops_keep_every_promise() {
    check(&Job::with_loop(ALIGNED), &[budget(2, 0, 1), ALL_OF_ONE], &[FULL]);
}

#[test]
fn loops_with_unaligned_checkpoints_keep_every_promise() {
    check(&Job::with_loop(UNALIGNED), &[budget(1, 0, 1)], &[FULL]);
}

#[test]
fn a_checkpoint_of_a_loop_may_turn_unaligned_at_any_moment() {
    check(&Job::with_loop(WITH_TIMEOUT), &[budget(1, 0, 1)], &[FULL]);
}

#[test]
fn loops_with_at_least_once_lose_nothing() {
    check(&Job::with_loop(AT_LEAST_ONCE), &[ALL_OF_ONE], &[FULL]);
}

#[test]
fn channels_that_stay_aligned_do_no_harm_to_an_unaligned_checkpoint() {
    let mut job = Job::shuffle(UNALIGNED);
    let to_sink = job.channels.iter_mut().filter(|edge| edge.to == 4);
    to_sink.for_each(|edge| edge.kind = EdgeKind::StaysAligned);
    check(&job, &[budget(1, 0, 1)], &[budget(2, 0, 0), ALL_OF_ONE]);
}

#[test]
fn a_newer_checkpoint_may_overtake_an_older_one() {
    let job = Job {
        concurrent: 2,
        ..Job::shuffle(ALIGNED)
    };
    check(&job, &[budget(2, 0, 0)], &[budget(2, 0, 1), budget(2, 1, 0)]);
}

#[test]
fn calls_of_the_storage_may_fail_or_get_no_answer() {
    let fault = Budget {
        faults: 1,
        ..ALL_OF_ONE
    };
    check(&Job::shuffle(ALIGNED), &[fault], &[Budget { faults: 1, ..FULL }]);
}

#[test]
fn acknowledgements_may_come_one_by_one() {
    let job = Job {
        acks: Acks::OneByOne,
        ..Job::shuffle(ALIGNED)
    };
    check(&job, &[budget(1, 1, 0)], &[ALL_OF_ONE]);
}

#[test]
fn a_task_may_be_told_late_or_never_of_a_barrier_that_is_queued() {
    let job = Job {
        hearing: Hearing::AnyTime,
        ..Job::funnel(WITH_TIMEOUT)
    };
    check(&job, &[ALL_OF_ONE], &[FULL]);
}

#[test]
fn vector_clocks_complain_about_no_cut() {
    let with_clocks = |job| Job {
        clocks: ConsistencyProof::Full,
        ..job
    };
    check(
        &with_clocks(Job::shuffle(ALIGNED)),
        &[budget(1, 1, 0)],
        &[ALL_OF_ONE],
    );
    check(
        &with_clocks(Job::funnel(UNALIGNED)),
        &[budget(1, 1, 0)],
        &[ALL_OF_ONE],
    );
}
