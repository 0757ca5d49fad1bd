//! Machines that are broken on purpose: the exploration finds each, and names the promise that it breaks.

use crate::explore::explore;
use crate::flaw::Flaw;
use crate::job::{Budget, Job, Net, Told};
use crate::promise::Promise;
use snapline_core::{BarrierAlignment, ConsistencyProof};
use std::rc::Rc;

const ALIGNED: BarrierAlignment = BarrierAlignment::Aligned;
const UNALIGNED: BarrierAlignment = BarrierAlignment::Unaligned;

/// What tasks compare, what the coordinator compares if they do not, and what the oracle sees if neither does.
const BY_ALL: [(Net, Promise); 3] = [
    (Net::Task, Promise::Protocol),
    (Net::Cut, Promise::ConsistentCut),
    (Net::Oracle, Promise::ConsistentCut),
];

fn check(job: Job, flaw: Flaw, budget: Budget, found_by: &[(Net, Promise)]) {
    for (net, promise) in found_by {
        let flaw = Some(flaw);
        let (job, net) = (job.clone(), *net);
        let job = Job {
            flaw,
            budget,
            net,
            ..job
        };
        let Err(found) = explore(&Rc::new(job)) else {
            panic!("nobody finds {flaw:?} with the checks from {net:?} on");
        };
        println!("{flaw:?}, {net:?}:\n{found}\n");
        assert_eq!(found.violation.promise, *promise);
    }
}

/// A checkpoint and nothing else.
const ONE: Budget = Budget {
    triggers: 1,
    aborts: 0,
    crashes: 0,
    faults: 0,
};
const WITH_CRASH: Budget = Budget { crashes: 1, ..ONE };
const WITH_ABORT: Budget = Budget { aborts: 1, ..ONE };

#[test]
fn an_aligner_that_does_not_block_a_channel_is_found() {
    check(Job::shuffle(ALIGNED), Flaw::SkipAlignment(2, 0), ONE, &BY_ALL);
}

#[test]
fn an_aligner_that_does_not_record_a_channel_is_found() {
    check(Job::funnel(UNALIGNED), Flaw::ForgetRecord(2, 0), ONE, &BY_ALL);
}

#[test]
fn a_task_that_forgets_what_a_barrier_overtook_is_found() {
    check(Job::funnel(UNALIGNED), Flaw::ForgetOvertaken(2), ONE, &BY_ALL);
}

#[test]
fn a_loop_head_that_drops_its_log_is_found() {
    check(Job::with_loop(ALIGNED), Flaw::ForgetRecord(2, 2), ONE, &BY_ALL);
}

#[test]
fn a_task_that_acknowledges_before_its_channels_are_recorded_is_found() {
    check(Job::funnel(UNALIGNED), Flaw::AcknowledgeEarly(2), ONE, &BY_ALL);
}

#[test]
fn a_sender_that_miscounts_is_found_by_the_receiver() {
    let found = [(Net::Task, Promise::Protocol)];
    check(Job::shuffle(ALIGNED), Flaw::MiscountSent(0), ONE, &found);
}

#[test]
fn a_barrier_that_goes_out_late_is_found_by_the_clocks_and_the_oracle() {
    let job = Job {
        clocks: ConsistencyProof::Full,
        ..Job::shuffle(ALIGNED)
    };
    let found = [
        (Net::Task, Promise::ConsistentCut),
        (Net::Oracle, Promise::ConsistentCut),
    ];
    check(job, Flaw::ForwardLate(0), ONE, &found);
}

#[test]
fn a_tracker_that_does_not_wait_for_all_is_found() {
    let job = Job::shuffle(BarrierAlignment::AtLeastOnce);
    check(
        job,
        Flaw::CountOneLess(4),
        ONE,
        &[(Net::Task, Promise::ConsistentCut)],
    );
}

#[test]
fn a_coordinator_that_completes_one_acknowledgement_early_is_found() {
    check(
        Job::shuffle(ALIGNED),
        Flaw::CompleteWithout(2),
        ONE,
        &[(Net::Oracle, Promise::ConsistentCut)],
    );
}

#[test]
fn a_sink_that_commits_at_its_snapshot_is_found() {
    let found = [(Net::Task, Promise::NoDuplicate)];
    check(Job::shuffle(ALIGNED), Flaw::CommitAtSnapshot, WITH_CRASH, &found);
}

#[test]
fn a_coordinator_that_commits_before_the_checkpoint_counts_is_found() {
    let found = [(Net::Task, Promise::NoDuplicate)];
    check(Job::shuffle(ALIGNED), Flaw::CommitBeforeClaim, WITH_CRASH, &found);
}

#[test]
fn a_restart_that_forgets_what_was_in_flight_is_found() {
    let found = [(Net::Task, Promise::NoLoss)];
    check(Job::funnel(UNALIGNED), Flaw::ForgetInFlight, WITH_CRASH, &found);
}

#[test]
fn a_loop_head_that_waits_for_its_back_edge_is_found() {
    let found = [(Net::Task, Promise::NoDeadlock)];
    check(Job::with_loop(ALIGNED), Flaw::AlignBackEdge, ONE, &found);
}

#[test]
fn a_loop_head_that_forwards_what_comes_back_is_found() {
    let found = [(Net::Task, Promise::Protocol)];
    check(Job::with_loop(ALIGNED), Flaw::ForwardAgain, ONE, &found);
}

#[test]
fn a_task_that_forwards_no_cancel_marker_is_found_as_a_deadlock() {
    let job = Job {
        told: Told::Only(2),
        ..Job::shuffle(ALIGNED)
    };
    check(
        job,
        Flaw::DropCancel(2),
        WITH_ABORT,
        &[(Net::Task, Promise::NoDeadlock)],
    );
}

#[test]
fn a_checkpoint_that_never_ends_is_found() {
    let found = [(Net::Task, Promise::EveryTriggerEnds)];
    check(Job::shuffle(ALIGNED), Flaw::LoseAcknowledgement(3), ONE, &found);
}

#[test]
fn a_task_that_goes_on_for_ever_without_doing_anything_is_found() {
    let job = Job::funnel(BarrierAlignment::AlignedWithTimeout { timeout_ms: 10 });
    check(job, Flaw::SleepOn(2), ONE, &[(Net::Task, Promise::NoLivelock)]);
}
