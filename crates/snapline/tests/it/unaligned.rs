//! Barriers overtake records, which become part of the checkpoint.

use crate::support::{Counted, assert_exactly_once, count_by_remainder, environment, run, wait_for};
use crate::valve::{Valve, ValveSink, in_flight, newest_manifest};
use futures::executor::block_on;
use snapline::ErrorKind;
use snapline::core::AlignmentSettings;
use snapline::prelude::*;
use snapline::state::CheckpointStorage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const NUMBERS: u64 = 100_000;

pub(crate) fn unaligned(
    parallelism: u32,
    storage: impl CheckpointStorage,
    alignment: AlignmentSettings,
) -> StreamExecutionEnvironment {
    let env = environment(parallelism, storage);
    env.configure(|settings| {
        settings.batch_records = 64;
        settings.channel_bytes = 8 * 1024;
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.alignment = alignment;
        }
    });
    env
}

/// Lets some batches through, then holds everything until checkpoints of that are complete, and stops.
pub(crate) fn run_until_stuck(env: &StreamExecutionEnvironment, valve: &Valve, batches: usize) {
    valve.allow(batches);
    let handle = block_on(env.execute_async("test")).unwrap();
    wait_for(&handle, |_| valve.is_closed());
    let before = handle.status().checkpoints.completed;
    wait_for(&handle, |status| status.checkpoints.completed >= before + 2);
    handle.cancel();
    let _ = block_on(handle.wait());
}

/// Running counts of all remainders, with an edge in front of the sink whatever the parallelism.
fn count(env: &StreamExecutionEnvironment, sink: ValveSink<Counted>) {
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(|number| (number % crate::support::KEYS, 1))
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(sink)
        .uid("results")
        .parallelism(env.settings().parallelism + 1);
}

#[test]
fn checkpoints_complete_while_nothing_moves_unless_they_are_aligned() {
    let timeout = AlignmentSettings::AlignedWithTimeout { timeout_ms: 1 };
    for alignment in [AlignmentSettings::Unaligned, timeout] {
        for parallelism in [1, 2, 4] {
            let storage = MemoryCheckpointStorage::new();
            let (sink, valve, results) = ValveSink::new();
            let env = unaligned(parallelism, storage.clone(), alignment);
            count(&env, sink.clone());
            run_until_stuck(&env, &valve, 10);
            let in_flight = in_flight(&newest_manifest(&storage));
            assert!(in_flight.iter().any(|(uid, _)| uid == "results"), "{in_flight:?}");

            valve.open();
            let env = unaligned(parallelism, storage, alignment);
            count(&env, sink);
            run(&env).unwrap();
            assert_exactly_once(&results.take(), NUMBERS);
        }
    }
    let env = unaligned(2, MemoryCheckpointStorage::new(), AlignmentSettings::Aligned);
    env.configure(|settings| {
        let checkpoints = settings.checkpoints.as_mut().unwrap();
        (checkpoints.timeout_ms, checkpoints.tolerable_failures) = (50, u32::MAX);
    });
    let (sink, _valve, _) = ValveSink::new();
    count(&env, sink);
    let handle = block_on(env.execute_async("test")).unwrap();
    let status = wait_for(&handle, |status| status.checkpoints.failed >= 2);
    assert_eq!(status.checkpoints.completed, 0, "{status:?}");
    handle.cancel();
}

#[test]
fn what_is_in_flight_is_counted_once_at_any_parallelism() {
    for sequence in [[1, 2, 4, 2], [4, 2, 1, 3], [2, 2, 3, 2]] {
        let storage = MemoryCheckpointStorage::new();
        let (sink, valve, results) = ValveSink::new();
        for parallelism in sequence {
            let env = unaligned(parallelism, storage.clone(), AlignmentSettings::Unaligned);
            count(&env, sink.clone());
            run_until_stuck(&env, &valve, 20);
            let in_flight = in_flight(&newest_manifest(&storage));
            let found = |wanted: &str| in_flight.iter().any(|(uid, _)| uid == wanted);
            assert!(found("results"), "{in_flight:?}");
            assert!(found("counts") || parallelism == 1, "{in_flight:?}");
        }
        valve.open();
        let env = unaligned(1, storage, AlignmentSettings::Aligned);
        count(&env, sink);
        run(&env).unwrap();
        assert_exactly_once(&results.take(), NUMBERS);
    }
}

#[test]
fn records_of_a_key_stay_in_order_when_the_parallelism_changes() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, valve, results) = ValveSink::new();
    let disorder = Arc::new(AtomicU64::new(0));
    let describe = |parallelism: u32| {
        let env = unaligned(parallelism, storage.clone(), AlignmentSettings::Unaligned);
        let disorder = disorder.clone();
        let numbers = |name: &str, first: u64| {
            let numbers = env.from_source(SequenceSource::new(0..NUMBERS / 4), name);
            let numbers = numbers.parallelism(1);
            numbers
                .map(move |number| (first + number % 7, number))
                .parallelism(1)
        };
        numbers("left", 0)
            .union(&numbers("right", 100))
            .key_by(|(key, _)| *key)
            .reduce(move |last: &mut (u64, u64), next| {
                disorder.fetch_add(u64::from(next.1 != last.1 + 7), Ordering::SeqCst);
                last.1 = next.1;
            })
            .uid("last")
            .sink_to(sink.clone())
            .uid("results");
        env
    };
    for parallelism in [1, 2, 4, 2, 3] {
        run_until_stuck(&describe(parallelism), &valve, 12);
        let in_flight = in_flight(&newest_manifest(&storage));
        assert!(in_flight.iter().any(|(uid, _)| uid == "last"), "{in_flight:?}");
    }
    valve.open();
    run(&describe(1)).unwrap();
    assert_eq!(disorder.load(Ordering::SeqCst), 0);
    assert_eq!(results.take().len() as u64, NUMBERS / 4 * 2);
}

#[test]
fn a_task_that_panics_leaves_no_trace_although_barriers_overtake() {
    for alignment in [
        AlignmentSettings::Unaligned,
        AlignmentSettings::AlignedWithTimeout { timeout_ms: 0 },
        AlignmentSettings::AlignedWithTimeout { timeout_ms: 3 },
    ] {
        for parallelism in [1, 2, 4] {
            let env = unaligned(parallelism, MemoryCheckpointStorage::new(), alignment);
            let (sink, valve, results) = ValveSink::new();
            valve.open();
            let (seen, done) = (AtomicU64::new(0), AtomicBool::new(false));
            let shared = Arc::new((seen, done));
            env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
                .rebalance()
                .map(|number| (number % crate::support::KEYS, 1))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .rebalance()
                .map(move |counted: Counted| {
                    let (seen, done) = &*shared;
                    if seen.fetch_add(1, Ordering::SeqCst) == NUMBERS / 2
                        && !done.swap(true, Ordering::SeqCst)
                    {
                        panic!("planned");
                    }
                    counted
                })
                .parallelism(parallelism + 1)
                .sink_to(sink);
            let status = run(&env).unwrap().status;
            assert_eq!(status.restarts, 1, "{status:?}");
            assert_exactly_once(&results.take(), NUMBERS);
        }
    }
}

#[test]
fn a_broadcast_reaches_every_subtask_once_whatever_fails() {
    const FEW: u64 = 30_000;
    for parallelism in [1, 2, 3] {
        let env = unaligned(2, MemoryCheckpointStorage::new(), AlignmentSettings::Unaligned);
        let (sink, valve, results) = ValveSink::new();
        valve.open();
        let failed = Arc::new(AtomicBool::new(false));
        let numbers = env.from_source(SequenceSource::new(0..FEW), "numbers");
        let others = env.from_source(SequenceSource::new(FEW..2 * FEW), "others");
        numbers
            .broadcast()
            .union(&others.rebalance())
            .map(move |number| {
                if number == FEW / 2 && !failed.swap(true, Ordering::SeqCst) {
                    panic!("planned");
                }
                number
            })
            .parallelism(parallelism)
            .sink_to(sink)
            .parallelism(parallelism);
        assert_eq!(run(&env).unwrap().status.restarts, 1);
        let mut found = results.take();
        found.sort_unstable();
        let copies = |number: u64| if number < FEW { parallelism as usize } else { 1 };
        let expected = (0..2 * FEW).flat_map(|number| std::iter::repeat_n(number, copies(number)));
        assert!(
            found.iter().copied().eq(expected),
            "{parallelism}: {} records",
            found.len()
        );
    }
}

#[test]
fn records_in_flight_to_where_no_edge_leads_are_an_error_and_lost_only_when_that_is_allowed() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, valve, results) = ValveSink::new();
    let describe = |allow| {
        let env = unaligned(2, storage.clone(), AlignmentSettings::Unaligned);
        env.configure(|settings| settings.allow_non_restored_state = allow);
        env
    };
    let env = describe(false);
    count_by_remainder(&env, NUMBERS, |_| {}, sink.clone());
    run_until_stuck(&env, &valve, 10);
    valve.open();

    let with_a_filter = |allow| {
        let env = describe(allow);
        env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
            .map(|number| (number % crate::support::KEYS, 1))
            .filter(|_| true)
            .key_by(|(key, _)| *key)
            .sum(|(_, count)| count)
            .uid("counts")
            .sink_to(sink.clone())
            .uid("results");
        run(&env)
    };
    let error = with_a_filter(false).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("operator"), error.context("from")),
        (ErrorKind::Invalid, Some("counts"), Some("key-by-2")),
        "{error}"
    );
    with_a_filter(true).unwrap();
    let found = results.take().len() as u64;
    assert!(found < NUMBERS, "nothing was in flight: {found}");
}
