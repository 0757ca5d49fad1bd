//! What the operators mean.

use crate::support::{environment, run};
use snapline::prelude::*;

fn sorted<T: Ord>(mut records: Vec<T>) -> Vec<T> {
    records.sort();
    records
}

#[test]
fn stateless_operators_keep_what_they_should() {
    for parallelism in [1, 2, 4] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        env.from_source(
            CollectionSource::new(vec!["a b", "", "c"].into_iter().map(str::to_owned)),
            "lines",
        )
        .flat_map(|line: String, out: &mut Collector<'_, String>| {
            line.split_whitespace()
                .for_each(|word| out.collect(word.to_owned()));
        })
        .filter(|word| word != "b")
        .map(|word| word + "!")
        .sink_to(sink);
        run(&env).unwrap();
        assert_eq!(sorted(results.take()), ["a!", "c!"]);
    }
}

#[test]
fn a_union_has_the_records_of_both_streams_and_rebalance_loses_none() {
    for parallelism in [1, 3] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        let low = env.from_source(SequenceSource::new(0..1000), "low");
        let high = env
            .from_source(SequenceSource::new(1000..2000), "high")
            .parallelism(2);
        low.union(&high).rebalance().map(|number| number).sink_to(sink);
        run(&env).unwrap();
        assert_eq!(sorted(results.take()), (0..2000).collect::<Vec<_>>());
    }
}

#[test]
fn keyed_aggregates_emit_the_value_so_far() {
    let numbers = [3_i64, 1, 2];
    let run_with = |describe: fn(&KeyedStream<u8, (u8, i64)>) -> DataStream<(u8, i64)>| {
        let env = environment(1, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        let records = numbers.map(|number| (0_u8, number));
        let keyed = env
            .from_source(CollectionSource::new(records), "numbers")
            .key_by(|record| record.0);
        describe(&keyed).sink_to(sink);
        run(&env).unwrap();
        results
            .take()
            .into_iter()
            .map(|record| record.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(run_with(|keyed| keyed.sum(|record| &mut record.1)), [3, 4, 6]);
    assert_eq!(run_with(|keyed| keyed.min(|record| &mut record.1)), [3, 1, 1]);
    assert_eq!(run_with(|keyed| keyed.max(|record| &mut record.1)), [3, 3, 3]);
    assert_eq!(
        run_with(|keyed| keyed.reduce(|so_far, record| so_far.1 = so_far.1 * 10 + record.1)),
        [3, 31, 312]
    );
    assert_eq!(
        run_with(|keyed| keyed.clone().emit(Emit::Final).sum(|record| &mut record.1)),
        [6]
    );
}

#[test]
fn a_stream_that_is_used_twice_goes_both_ways() {
    let env = environment(2, MemoryCheckpointStorage::new());
    let ((left, lefts), (right, rights)) = (CollectSink::new(), CollectSink::new());
    let numbers = env.from_source(SequenceSource::new(0..100), "numbers");
    numbers.sink_to(left).name("left");
    numbers
        .filter(|number| number % 2 == 0)
        .sink_to(right)
        .name("right")
        .parallelism(1);
    run(&env).unwrap();
    assert_eq!(sorted(lefts.take()), (0..100).collect::<Vec<_>>());
    assert_eq!(sorted(rights.take()), (0..100).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_job_without_checkpoints_commits_when_it_ends() {
    let env = StreamExecutionEnvironment::builder().build().unwrap();
    let (sink, results) = CollectSink::new();
    env.from_source(SequenceSource::new(0..10), "numbers")
        .sink_to(sink);
    run(&env).unwrap();
    assert_eq!(results.take(), (0..10).collect::<Vec<_>>());
}

#[test]
fn at_least_once_loses_nothing() {
    let env = environment(2, MemoryCheckpointStorage::new());
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.mode = CheckpointMode::AtLeastOnce;
        }
    });
    let (sink, results) = CollectSink::new();
    env.from_source(SequenceSource::new(0..50_000), "numbers")
        .map(|number| (number % 7, 1_u64))
        .key_by(|(key, _)| *key)
        .emit(Emit::Final)
        .sum(|(_, count)| count)
        .sink_to(sink);
    run(&env).unwrap();
    assert_eq!(results.take().iter().map(|(_, count)| count).sum::<u64>(), 50_000);
}
