//! Records that go round in loops: exact results, and an end.

use crate::support::{environment, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::ErrorKind;
use snapline::core::{AlignmentSettings, CheckpointMode};
use snapline::dataflow::{JobStatus, SavepointRequest};
use snapline::prelude::*;
use snapline::state::CheckpointStorage;
use std::collections::{BTreeMap, BTreeSet};

/// Every number counts down to zero; all that was seen on the way is collected.
fn countdown(
    env: &StreamExecutionEnvironment,
    numbers: u64,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
    sink: impl snapline::connector::Sink<u64>,
) {
    countdown_from(
        &env.from_source(SequenceSource::new(0..numbers), "numbers"),
        visit,
        sink,
    );
}

fn countdown_from(
    numbers: &DataStream<u64>,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
    sink: impl snapline::connector::Sink<u64>,
) {
    let seen = numbers.iterate(|numbers| {
        let seen = numbers.uid("head").map(move |number| {
            visit(number);
            number
        });
        let smaller = seen.filter(|number| *number > 0).map(|number| number - 1);
        (smaller.rebalance(), seen)
    });
    seen.sink_to(sink).uid("results");
}

fn assert_counted_down(results: &[u64], numbers: u64) {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    results
        .iter()
        .for_each(|number| *seen.entry(*number).or_default() += 1);
    let expected: BTreeMap<u64, u64> = (0..numbers).map(|number| (number, numbers - number)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_loop_ends_when_nothing_is_left_to_do_even_without_checkpoints() {
    for parallelism in [1, 2, 3] {
        let env = StreamExecutionEnvironment::builder()
            .parallelism(parallelism)
            .build()
            .unwrap();
        let (sink, results) = CollectSink::new();
        countdown(&env, 300, |_| {}, sink);
        let status = run(&env).unwrap().status;
        assert_eq!(status.state, JobState::Finished);
        assert_counted_down(&results.take(), 300);
    }
}

#[test]
fn a_task_that_panics_in_a_loop_repeats_and_loses_nothing() {
    let all = 300 * 301 / 2;
    for parallelism in [1, 2] {
        for share in [0, 2, 5, 9] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            let (sink, results) = CollectSink::new();
            countdown(&env, 300, panic_at(all * share / 10), sink);
            let status = run(&env).unwrap().status;
            assert_eq!(
                (status.state, status.restarts),
                (JobState::Finished, 1),
                "{status:?}"
            );
            assert_counted_down(&results.take(), 300);
        }
    }
}

#[test]
fn what_waits_in_files_to_go_round_is_counted_once_and_leaves_nothing_behind() {
    let all = 300 * 301 / 2;
    for alignment in [AlignmentSettings::Aligned, AlignmentSettings::Unaligned] {
        for parallelism in [1, 2] {
            let scratch = tempfile::tempdir().unwrap();
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            env.configure(|settings| {
                settings.loop_bytes = 0;
                settings.batch_records = 8;
                settings.scratch_folder = Some(scratch.path().to_owned());
                if let Some(checkpoints) = &mut settings.checkpoints {
                    checkpoints.alignment = alignment;
                }
            });
            let (sink, results) = CollectSink::new();
            countdown(&env, 300, panic_at(all / 2), sink);
            let status = run(&env).unwrap().status;
            assert_eq!((status.state, status.restarts), (JobState::Finished, 1));
            assert_counted_down(&results.take(), 300);
            assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }
}

/// Whether a checkpoint that is kept has records that were on their way round.
fn has_records_in_flight(storage: &MemoryCheckpointStorage) -> bool {
    let keys = block_on(storage.list("", None)).unwrap();
    let mut manifests = keys
        .iter()
        .filter(|key| key.to_string().ends_with("manifest.json"));
    manifests.any(|key| {
        let manifest = block_on(storage.get(key, None)).unwrap().unwrap();
        String::from_utf8_lossy(&manifest).contains("\"recorded\"")
    })
}

#[test]
fn a_job_resumes_in_the_middle_of_a_loop_at_any_parallelism() {
    for sequence in [[1, 1], [1, 3], [3, 2]] {
        for alignment in [AlignmentSettings::Aligned, AlignmentSettings::Unaligned] {
            let storage = MemoryCheckpointStorage::new();
            let (sink, results) = CollectSink::new();
            let start = |parallelism, is_held| {
                let env = environment(parallelism, storage.clone());
                env.configure(|settings| settings.checkpoints.as_mut().unwrap().alignment = alignment);
                hold_some(&env, is_held, sink.clone());
                env
            };
            for parallelism in sequence {
                let handle = block_on(start(parallelism, true).execute_async("test")).unwrap();
                let enough = |status: &JobStatus| {
                    status.checkpoints.completed >= 3 || status.state == JobState::Failed
                };
                wait_for(&handle, enough);
                handle.cancel();
                block_on(handle.wait()).unwrap_err();
                assert!(
                    has_records_in_flight(&storage),
                    "{sequence:?} {alignment:?} {:?}",
                    handle.status()
                );
            }
            let status = run(&start(2, false)).unwrap().status;
            assert!(status.restored.is_some(), "{status:?}");
            assert_counted_down(&results.take(), 200);
        }
    }
}

/// As [`countdown`], but while it is held, every seventh number goes round and round.
fn hold_some(env: &StreamExecutionEnvironment, is_held: bool, sink: impl snapline::connector::Sink<u64>) {
    let numbers = env.from_source(SequenceSource::new(0..200), "numbers");
    let seen = numbers.iterate(|numbers| {
        let decided = numbers
            .uid("head")
            .map(move |number| (number, is_held && number % 7 == 3));
        let back = decided.flat_map(|(number, is_held), out| match (is_held, number.checked_sub(1)) {
            (true, _) => out.collect(number),
            (false, smaller) => smaller.into_iter().for_each(|smaller| out.collect(smaller)),
        });
        (
            back.rebalance(),
            decided.filter(|number| !number.1).map(|number| number.0),
        )
    });
    seen.sink_to(sink).uid("results");
}

/// A label for a vertex, and whether it is smaller than what the vertex had.
type Label = (u64, u64, bool);

/// Every vertex learns the least vertex that it is connected to. Vertices are connected to those
/// three before and behind them, within their hundred.
fn components(
    env: &StreamExecutionEnvironment,
    vertices: u64,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
    sink: impl snapline::connector::Sink<(u64, u64)>,
) {
    let own = |vertex| (vertex, vertex, true);
    let labels = env
        .from_source(SequenceSource::new(0..vertices), "vertices")
        .map(own);
    let improved = labels.iterate(|labels| {
        let least = |least: &mut Label, new: Label| *least = (least.0, least.1.min(new.1), new.1 < least.1);
        let improved = labels
            .key_by(|label| label.0)
            .reduce(least)
            .filter(|label| label.2);
        let neighbours = improved.flat_map(move |(vertex, label, _), out| {
            visit(vertex);
            let around = [vertex.checked_sub(3), Some(vertex + 3)].into_iter().flatten();
            around
                .filter(|other| other / 100 == vertex / 100 && *other < vertices)
                .for_each(|other| out.collect((other, label, true)));
        });
        (neighbours, improved)
    });
    labels_of(&improved).sink_to(sink);
}

fn labels_of(improved: &DataStream<Label>) -> DataStream<(u64, u64)> {
    let pairs = improved.map(|(vertex, label, _)| (vertex, label));
    pairs
        .key_by(|pair| pair.0)
        .emit(Emit::Final)
        .min(|pair| &mut pair.1)
}

#[test]
fn connected_components_are_found_whatever_fails() {
    let expected: BTreeSet<(u64, u64)> = (0..650)
        .map(|vertex| (vertex, vertex / 100 * 100 + vertex % 100 % 3))
        .collect();
    for parallelism in [1, 2] {
        for at in [100, 3000] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            let (sink, results) = CollectSink::new();
            components(&env, 650, panic_at(at), sink);
            let status = run(&env).unwrap().status;
            assert_eq!(status.restarts, 1, "{status:?}");
            let results = results.take();
            assert_eq!(
                (results.len(), results.into_iter().collect()),
                (650, expected.clone())
            );
        }
    }
}

#[test]
fn loops_end_inside_and_behind_each_other() {
    for parallelism in [1, 2] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        let pairs = env
            .from_source(SequenceSource::new(0..20), "numbers")
            .map(|number| (number, number));
        // For each number all pairs (a, b) with a..=number and b..=a, in two loops, one in the other.
        let pairs = pairs.iterate(|pairs| {
            let inner = pairs.iterate(|pairs| {
                let smaller = pairs.filter(|pair| pair.1 > 0).map(|pair| (pair.0, pair.1 - 1));
                (smaller.rebalance(), pairs)
            });
            let next = inner
                .filter(|pair| pair.1 == 0 && pair.0 > 0)
                .map(|pair| (pair.0 - 1, pair.0 - 1));
            (next, inner)
        });
        let again = pairs.rebalance().iterate(|pairs| {
            let fail = panic_at(3000);
            let smaller = pairs.filter(|pair| pair.0 > 18).map(move |pair| {
                fail(pair.0);
                (pair.0 - 1, pair.1)
            });
            (smaller, pairs)
        });
        again.sink_to(sink);
        run(&env).unwrap();
        let mut expected: Vec<(u64, u64)> = Vec::new();
        for number in 0..20 {
            expected.extend((0..=number).flat_map(|a| (0..=a).map(move |b| (a, b))));
        }
        let again: Vec<(u64, u64)> = expected
            .iter()
            .filter(|pair| pair.0 > 18)
            .map(|pair| (18, pair.1))
            .collect();
        expected.extend(again);
        expected.sort_unstable();
        let mut results = results.take();
        results.sort_unstable();
        assert_eq!(results, expected);
    }
}

#[test]
fn at_least_once_a_loop_loses_nothing() {
    let env = environment(2, MemoryCheckpointStorage::new());
    env.configure(|settings| settings.checkpoints.as_mut().unwrap().mode = CheckpointMode::AtLeastOnce);
    let (sink, results) = CollectSink::new();
    countdown(&env, 300, panic_at(30_000), sink);
    run(&env).unwrap();
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    results
        .take()
        .iter()
        .for_each(|number| *seen.entry(*number).or_default() += 1);
    assert!((0..300).all(|number| seen[&number] >= 300 - number));
}

#[test]
fn an_operator_that_emits_when_the_loop_is_over_is_an_error_that_says_what_to_do() {
    let env = environment(1, MemoryCheckpointStorage::new());
    env.configure(|settings| settings.restart = None);
    let (sink, _results) = CollectSink::new();
    let numbers = env
        .from_source(SequenceSource::new(0..10), "numbers")
        .map(|number| (0, number));
    let most = numbers.iterate(|numbers| {
        let most = numbers
            .key_by(|pair| pair.0)
            .emit(Emit::Final)
            .max(|pair| &mut pair.1);
        (most.clone(), most)
    });
    most.sink_to(sink);
    let error = run(&env).unwrap_err().to_string();
    assert!(error.contains("put it behind the loop"), "{error}");
}

#[test]
fn a_loop_stops_with_a_savepoint_and_goes_on_at_another_parallelism() {
    const NUMBERS: u64 = 500;
    for sequence in [[1, 2, 3], [3, 2, 1]] {
        let storage = MemoryCheckpointStorage::new();
        let (sink, results) = CollectSink::new();
        for (run, parallelism) in (0..).zip(sequence) {
            let env = environment(parallelism, storage.clone());
            let (feed, source) = ChannelSource::bounded(1 << 10);
            countdown_from(&env.from_source(source, "numbers"), |_| {}, sink.clone());
            let job = block_on(env.execute_async("test")).unwrap();
            if run == 0 {
                (0..NUMBERS).for_each(|number| block_on(feed.send(number)).unwrap());
            }
            if run == 2 {
                drop(feed);
                block_on(job.wait()).unwrap();
                break;
            }
            let stop = SavepointRequest::new(format!("savepoints/{run}")).suspend();
            block_on(job.savepoint(stop)).unwrap();
            let status = block_on(job.wait()).unwrap().status;
            assert_eq!(status.state, JobState::Suspended, "{status:?}");
        }
        assert_counted_down(&results.take(), NUMBERS);
    }
}

/// Each number goes round for ever.
fn no_exit(env: &StreamExecutionEnvironment) {
    let seen = env
        .from_source(SequenceSource::new(0..1000), "numbers")
        .iterate(|numbers| {
            let numbers = numbers.uid("head").map(|number| number);
            (numbers.rebalance(), numbers.filter(|_| false))
        });
    seen.sink_to(DiscardSink).uid("results");
}

#[test]
fn a_loop_without_an_exit_takes_checkpoints_and_can_be_stopped_in_either_way() {
    for parallelism in [1, 2] {
        let storage = MemoryCheckpointStorage::new();
        let env = environment(parallelism, storage.clone());
        no_exit(&env);
        let handle = block_on(env.execute_async("test")).unwrap();
        wait_for(&handle, |status| status.checkpoints.completed >= 3);
        block_on(handle.savepoint(SavepointRequest::new("savepoints/1").suspend())).unwrap();
        block_on(handle.wait()).unwrap();

        let env = environment(3 - parallelism, storage);
        no_exit(&env);
        let handle = block_on(env.execute_async("test")).unwrap();
        wait_for(&handle, |status| status.checkpoints.completed >= 3);
        handle.cancel();
        let error = block_on(handle.wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }
}
