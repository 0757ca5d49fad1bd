//! What has finished is not run again.

use crate::held::{HeldSource, Hold};
use crate::support::{environment, run, wait_for};
use crate::valve::newest_manifest;
use async_trait::async_trait;
use futures::executor::block_on;
use snapline::connector::{
    Collected, CollectedPart, Committer, CommitterContext, Sink, SinkWriter, WriterContext,
};
use snapline::coordinator::Manifest;
use snapline::core::{AlignmentSettings, AttemptId, CheckpointId, OperatorUid};
use snapline::dataflow::FailureAnswer;
use snapline::prelude::*;
use snapline::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SHORT: u64 = 100;
const LONG: u64 = 1_000;
const KEYS: u64 = 7;

/// A short source and a long one whose records are counted together, and a sink of what the short
/// one alone has.
struct Job {
    storage: MemoryCheckpointStorage,
    short: Hold,
    long: Hold,
    /// How often the sink of the short source was opened.
    opened: Arc<AtomicU64>,
    counts: (CollectSink<(u64, u64)>, Collected<(u64, u64)>),
    copies: (CollectSink<u64>, Collected<u64>),
    /// Whether the copies can be committed.
    commits: Arc<AtomicBool>,
}

impl Job {
    /// The long source stands still until it is let go.
    fn new() -> Self {
        Self {
            storage: MemoryCheckpointStorage::new(),
            short: Hold::at(u64::MAX),
            long: Hold::at(SHORT + LONG / 2),
            opened: Arc::default(),
            counts: CollectSink::new(),
            copies: CollectSink::new(),
            commits: Arc::new(AtomicBool::new(true)),
        }
    }

    fn environment(&self, parallelism: u32) -> StreamExecutionEnvironment {
        let env = environment(parallelism, self.storage.clone());
        let short = env
            .from_source(HeldSource::new([0..30, 30..SHORT], &self.short), "short")
            .uid("short");
        let long = HeldSource::new(Some(SHORT..SHORT + LONG), &self.long);
        let long = env.from_source(long, "long").uid("long");
        short
            .sink_to(WatchedSink {
                inner: self.copies.0.clone(),
                opened: self.opened.clone(),
                commits: self.commits.clone(),
            })
            .uid("copies");
        short
            .union(&long)
            .map(|number| (number % KEYS, 1))
            .uid("map")
            .key_by(|(key, _)| *key)
            .sum(|(_, count)| count)
            .uid("counts")
            .sink_to(self.counts.0.clone())
            .uid("results");
        env
    }

    fn start(&self, env: &StreamExecutionEnvironment) -> JobHandle {
        block_on(env.execute_async("test")).unwrap()
    }

    /// Waits until there is a checkpoint in which the short source has finished.
    fn wait_until_short_has_finished(&self, job: &JobHandle) {
        for _ in 0..100_000_000_u64 {
            if job.status().checkpoints.completed > 0 && self.has_finished("short") {
                return;
            }
            std::thread::yield_now();
        }
        panic!("it never finished: {:?}", job.status());
    }

    fn has_finished(&self, uid: &str) -> bool {
        has_finished(&newest_manifest(&self.storage), uid)
    }

    fn assert_exactly_once(&self) {
        let mut counts = self.counts.1.take();
        counts.sort_unstable();
        let mut expected: Vec<_> = (0..SHORT + LONG)
            .map(|number| (number % KEYS, number / KEYS + 1))
            .collect();
        expected.sort_unstable();
        assert_eq!(counts, expected);
        let mut copies = self.copies.1.take();
        copies.sort_unstable();
        assert!(copies.iter().copied().eq(0..SHORT), "{copies:?}");
    }
}

fn has_finished(manifest: &Manifest, uid: &str) -> bool {
    let stored = manifest.operators.get(&OperatorUid::new(uid).unwrap());
    stored.is_some_and(|stored| stored.subtasks.iter().all(|subtask| subtask.finished))
}

/// A sink that says how often it was opened, and whose commits a test can hold back.
struct WatchedSink {
    inner: CollectSink<u64>,
    opened: Arc<AtomicU64>,
    commits: Arc<AtomicBool>,
}

impl Sink<u64> for WatchedSink {
    type Committable = CollectedPart<u64>;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<u64, CollectedPart<u64>>>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.inner.writer(context)
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<CollectedPart<u64>>>> {
        Ok(Box::new(HeldCommitter {
            inner: self.inner.committer(context)?,
            commits: self.commits.clone(),
        }))
    }
}

struct HeldCommitter {
    inner: Box<dyn Committer<CollectedPart<u64>>>,
    commits: Arc<AtomicBool>,
}

#[async_trait]
impl Committer<CollectedPart<u64>> for HeldCommitter {
    async fn commit(&mut self, committables: Vec<CollectedPart<u64>>) -> Result<()> {
        match self.commits.load(Ordering::SeqCst) {
            true => self.inner.commit(committables).await,
            false => Err(Error::unavailable("held back")),
        }
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        self.inner.recover(attempt, restored).await
    }
}

#[test]
fn a_process_that_goes_on_at_any_parallelism_opens_nothing_that_has_finished() {
    for [first, second, third] in [[1, 1, 1], [2, 2, 2], [2, 1, 3], [1, 4, 2]] {
        let job = Job::new();
        let handle = job.start(&job.environment(first));
        job.wait_until_short_has_finished(&handle);
        handle.cancel();
        let _ = block_on(handle.wait());
        let opened = (job.short.opened(), job.opened.load(Ordering::SeqCst));
        assert_eq!(opened, (u64::from(first) + 1, u64::from(first)));
        assert!(job.has_finished("copies"), "its chain has finished as a whole");
        assert!(!job.has_finished("map"));

        // The mark outlives a second attempt, which has checkpoints of its own.
        let handle = job.start(&job.environment(second));
        wait_for(&handle, |status| {
            status.restored.is_some() && status.checkpoints.completed >= 2
        });
        job.wait_until_short_has_finished(&handle);
        handle.cancel();
        let _ = block_on(handle.wait());

        job.long.allow(u64::MAX);
        run(&job.environment(third)).unwrap();
        assert_eq!(
            (job.short.opened(), job.opened.load(Ordering::SeqCst)),
            opened,
            "{first} {second} {third}"
        );
        assert_eq!(job.short.read(), SHORT);
        job.assert_exactly_once();
    }
}

#[test]
fn a_restart_after_a_failure_opens_nothing_that_has_finished() {
    for (parallelism, is_alone) in [(1, true), (2, true), (1, false), (2, false)] {
        let job = Job::new();
        let env = job.environment(parallelism);
        let neighbour = Hold::at(10);
        if !is_alone {
            let (sink, _) = CollectSink::new();
            env.from_source(HeldSource::new(Some(0..20), &neighbour), "neighbour")
                .sink_to(sink);
        }
        let handle = job.start(&env);
        job.wait_until_short_has_finished(&handle);
        let opened = (job.short.opened(), job.opened.load(Ordering::SeqCst));
        for failures in 1..=2 {
            job.long.fail_once();
            let before = handle.status().checkpoints.completed;
            wait_for(&handle, |status| {
                status.failures.len() == failures && status.checkpoints.completed > before + 1
            });
        }
        let is_region = |answer: &FailureAnswer| matches!(answer, FailureAnswer::RestartedRegion { .. });
        let failures = handle.status().failures;
        assert!(
            failures
                .iter()
                .all(|failure| is_region(&failure.answer) != is_alone),
            "{failures:?}"
        );
        assert!(job.has_finished("short"), "the mark outlives the restart");
        job.long.allow(u64::MAX);
        neighbour.allow(u64::MAX);
        block_on(handle.wait()).unwrap();
        assert_eq!((job.short.opened(), job.opened.load(Ordering::SeqCst)), opened);
        job.assert_exactly_once();
    }
}

#[test]
fn what_a_finished_sink_has_promised_is_committed_by_the_next_process() {
    let job = Job::new();
    job.commits.store(false, Ordering::SeqCst);
    let handle = job.start(&job.environment(2));
    job.wait_until_short_has_finished(&handle);
    handle.cancel();
    let _ = block_on(handle.wait());
    assert!(job.copies.1.take().is_empty());

    job.commits.store(true, Ordering::SeqCst);
    job.long.allow(u64::MAX);
    run(&job.environment(2)).unwrap();
    job.assert_exactly_once();
}

#[test]
fn a_source_that_has_finished_in_part_reads_on_what_is_left() {
    for [first, second] in [[2, 2], [2, 1], [2, 3]] {
        let storage = MemoryCheckpointStorage::new();
        let hold = Hold::at(550);
        let (sink, results) = CollectSink::new();
        let program = |parallelism| {
            let env = environment(parallelism, storage.clone());
            env.from_source(HeldSource::new([0..500, 500..1_000], &hold), "numbers")
                .uid("numbers")
                .map(|number| number)
                .sink_to(sink.clone());
            env
        };
        let handle = block_on(program(first).execute_async("test")).unwrap();
        let finished = || {
            let manifest = newest_manifest(&storage);
            let stored = manifest.operators.get(&OperatorUid::new("numbers").unwrap());
            stored.map_or(0, |stored| {
                stored.subtasks.iter().filter(|subtask| subtask.finished).count()
            })
        };
        wait_for(&handle, |status| {
            status.checkpoints.completed > 0 && finished() == 1
        });
        handle.cancel();
        let _ = block_on(handle.wait());
        hold.allow(u64::MAX);
        run(&program(second)).unwrap();
        assert_eq!(hold.read(), 1_000, "{first} {second}");
        let mut found = results.take();
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..1_000));
    }
}

#[test]
fn final_results_are_emitted_once_although_their_operator_runs_again_at_another_parallelism() {
    for (parallelisms, alignment) in [
        ([1, 3], AlignmentSettings::Unaligned),
        ([3, 2], AlignmentSettings::Unaligned),
        ([1, 3], AlignmentSettings::Aligned),
    ] {
        let storage = MemoryCheckpointStorage::new();
        let (short, long) = (Hold::at(u64::MAX), Hold::at(10));
        let (sink, results) = CollectSink::new();
        let program = |parallelism| {
            let env = environment(parallelism, storage.clone());
            env.configure(|settings| settings.checkpoints.as_mut().unwrap().alignment = alignment);
            env.from_source(HeldSource::new(Some(0..70), &short), "short")
                .map(|number| (number % KEYS, 1))
                .key_by(|(key, _)| *key)
                .emit(Emit::Final)
                .sum(|(_, count)| count)
                .sink_to(sink.clone());
            to_nowhere(
                &env.from_source(HeldSource::new(Some(0..20), &long), "long"),
                "nowhere",
            );
            env
        };
        let handle = block_on(program(parallelisms[0]).execute_async("test")).unwrap();
        let mut found = Vec::new();
        wait_for(&handle, |_| {
            found.extend(results.take());
            found.len() == KEYS as usize
        });
        let before = handle.status().checkpoints.completed;
        wait_for(&handle, |status| status.checkpoints.completed > before);
        handle.cancel();
        let _ = block_on(handle.wait());
        long.allow(u64::MAX);
        run(&program(parallelisms[1])).unwrap();
        found.extend(results.take());
        found.sort_unstable();
        let expected: Vec<_> = (0..KEYS).map(|key| (key, 10)).collect();
        assert_eq!(found, expected, "{parallelisms:?} {alignment:?}");
    }
}

/// A program that goes on from a checkpoint in which its short source had finished.
type Changed = fn(DataStream<u64>, DataStream<u64>);

fn to_nowhere<T: snapline::core::Data>(stream: &DataStream<T>, uid: &str) {
    stream.sink_to(CollectSink::new().0).uid(uid);
}

#[test]
fn a_changed_program_must_not_feed_what_has_finished() {
    let job = Job::new();
    let handle = job.start(&job.environment(1));
    job.wait_until_short_has_finished(&handle);
    handle.cancel();
    let _ = block_on(handle.wait());
    job.long.allow(u64::MAX);
    let cases: [(&str, Changed, Option<&str>); 4] = [
        (
            "a finished sink behind a source that had not finished",
            |short, long| {
                let apart = short.rebalance().map(|number| number).parallelism(2);
                to_nowhere(&apart, "others");
                to_nowhere(&long, "copies");
            },
            Some("had finished at the checkpoint, and the program now feeds it"),
        ),
        (
            "a finished sink behind a new operator",
            |short, long| {
                let apart = short.rebalance().map(|number| number).parallelism(2);
                to_nowhere(&apart, "copies");
                to_nowhere(&long, "results");
            },
            Some("had finished at the checkpoint, and the program now feeds it"),
        ),
        (
            "a new operator in the chain of a finished source",
            |short, long| {
                to_nowhere(&short, "copies");
                to_nowhere(&short.map(|number| number).uid("new"), "more");
                to_nowhere(&long, "results");
            },
            Some("mixed state"),
        ),
        (
            "another sink behind what has finished",
            |short, long| {
                to_nowhere(&short, "copies");
                to_nowhere(&short.rebalance().map(|number| number).parallelism(2), "more");
                to_nowhere(&long, "results");
            },
            None,
        ),
    ];
    for (name, changed, expected) in cases {
        let env = environment(1, job.storage.clone());
        env.configure(|settings| settings.allow_non_restored_state = true);
        let short = HeldSource::new([0..30, 30..SHORT], &job.short);
        let short = env.from_source(short, "short").uid("short");
        let long = HeldSource::new(Some(SHORT..SHORT + LONG), &job.long);
        let long = env.from_source(long, "long").uid("long");
        changed(short, long);
        let outcome = run(&env);
        match expected {
            None => assert!(outcome.is_ok(), "{name}: {outcome:?}"),
            Some(expected) => {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
                assert!(error.to_string().contains(expected), "{name}: {error}");
            }
        }
    }
}

#[test]
fn a_changed_program_must_not_feed_what_has_finished_in_part() {
    let storage = MemoryCheckpointStorage::new();
    let hold = Hold::at(550);
    let numbers = |env: &StreamExecutionEnvironment| {
        let numbers = HeldSource::new([0..500, 500..1_000], &hold);
        env.from_source(numbers, "numbers").uid("numbers")
    };
    let env = environment(2, storage.clone());
    to_nowhere(&numbers(&env), "results");
    let handle = block_on(env.execute_async("test")).unwrap();
    let has_finished_in_part = || {
        let manifest = newest_manifest(&storage);
        let mut operators = manifest.operators.values();
        operators.all(|stored| stored.subtasks.iter().filter(|subtask| subtask.finished).count() == 1)
    };
    wait_for(&handle, |status| {
        status.checkpoints.completed > 0 && has_finished_in_part()
    });
    handle.cancel();
    let _ = block_on(handle.wait());
    hold.allow(u64::MAX);

    let cases: [(&str, Changed, bool); 5] = [
        (
            "behind another source",
            |numbers, other| {
                to_nowhere(&numbers, "more");
                to_nowhere(&other, "results");
            },
            false,
        ),
        (
            "behind a new operator",
            |numbers, _| to_nowhere(&numbers.map(|number| number).uid("new"), "results"),
            false,
        ),
        (
            "with a new exchange",
            |numbers, _| to_nowhere(&numbers.rebalance(), "results"),
            false,
        ),
        (
            "beside what has not finished",
            |numbers, other| to_nowhere(&numbers.union(&other), "results"),
            false,
        ),
        (
            "as before, and in front of a new sink",
            |numbers, _| {
                to_nowhere(&numbers, "results");
                to_nowhere(&numbers.map(|number| number).uid("new"), "more");
            },
            true,
        ),
    ];
    for (name, changed, is_allowed) in cases {
        let env = environment(2, storage.clone());
        let other = env.from_source(SequenceSource::new(0..10), "other").uid("other");
        to_nowhere(&other, "others");
        changed(numbers(&env), other);
        let outcome = run(&env);
        match is_allowed {
            true => assert!(outcome.is_ok(), "{name}: {outcome:?}"),
            false => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Invalid, "{name}"),
        }
    }
}
