//! L-12 and L-13: exactly-once effects whatever fails, and loops that end by themselves.

use super::dataflow::{Dataflow, Random};
use super::job::{Job, MakeHead};

/// Runs a dataflow in many orders, each without a crash and with one or two at many of its points.
/// Returns how many checkpoints were complete and how many batches in their logs.
pub(crate) fn explore(
    dataflow: &Dataflow,
    make: MakeHead,
    seeds: std::ops::Range<u64>,
    every: usize,
) -> Result<(usize, usize), String> {
    let (mut completions, mut logged) = (0, 0);
    let mut run = |seed: u64, crashes: &[usize]| {
        let mut job = Job::new(dataflow, make, seed);
        let outcome = job.run(crashes);
        completions += job.completions;
        logged += job.logged;
        let steps = job.steps;
        outcome.map_err(|error| format!("{error}\nseed {seed}, crashes {crashes:?}, {dataflow:?}"))?;
        Ok::<usize, String>(steps)
    };
    for seed in seeds {
        let steps = run(seed, &[])?;
        for first in (0..steps).step_by(every) {
            run(seed, &[first])?;
            run(seed, &[first, first + steps / 3])?;
        }
    }
    Ok((completions, logged))
}

fn check(dataflow: &Dataflow, seeds: std::ops::Range<u64>, every: usize) -> (usize, usize) {
    explore(dataflow, |head| Box::new(head), seeds, every).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_crash_at_any_point_of_a_loop_repeats_and_loses_nothing() {
    // A source, a head, a body of two, a sink.
    let dataflow = Dataflow::new(&[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)], 8);
    let (completions, logged) = check(&dataflow, 0..3, 1);
    assert!(completions > 500 && logged > 500, "{completions} {logged}");
}

#[test]
fn a_task_can_be_its_own_loop_and_the_head_of_two() {
    check(&Dataflow::new(&[(0, 1), (1, 1)], 4), 0..3, 2);
    let two = Dataflow::new(&[(0, 1), (1, 2), (1, 3), (2, 1), (3, 1), (1, 1)], 2);
    check(&two, 0..2, 11);
}

#[test]
fn two_subtasks_of_a_loop_agree() {
    // Sources 0 and 1, heads 2 and 3, bodies 4 and 5, everything exchanged.
    let exchange = |from: [usize; 2], to: [usize; 2]| from.map(|from| to.map(|to| (from, to))).concat();
    let all = [
        exchange([0, 1], [2, 3]),
        exchange([2, 3], [4, 5]),
        exchange([4, 5], [2, 3]),
    ]
    .concat();
    check(&Dataflow::new(&all, 2), 0..3, 11);
}

#[test]
fn loops_in_loops_and_behind_loops_have_logs_of_their_own() {
    let inner = Dataflow::new(&[(0, 1), (1, 2), (2, 3), (3, 2), (3, 1), (3, 4)], 8);
    let (_, logged) = check(&inner, 0..2, 5);
    assert!(logged > 500, "{logged}");
    let behind = Dataflow::new(&[(0, 1), (1, 2), (2, 1), (2, 3), (3, 4), (4, 3)], 4);
    check(&behind, 0..3, 5);
}

#[test]
fn random_cyclic_dataflows_have_exactly_once_effects_whatever_crashes() {
    let mut random = Random(42);
    let mut loops = 0;
    for round in 0..60 {
        let dataflow = Dataflow::random(&mut random);
        loops += usize::from(dataflow.has_loop());
        check(&dataflow, round..round + 1, 11);
    }
    assert!(loops > 40, "only {loops} dataflows had a loop");
}
