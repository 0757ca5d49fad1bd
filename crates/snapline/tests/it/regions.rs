//! A failure concerns the tasks that are connected with the failed one, and no others.

use crate::support::{environment, run};
use snapline::dataflow::{FailureAnswer, JobFailure};
use snapline::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const NUMBERS: u64 = 300_000;

/// Counts what a pipeline sees, and may panic once.
#[derive(Clone, Default)]
struct Watch {
    seen: Arc<AtomicU64>,
    panics_at: Option<u64>,
    has_panicked: Arc<AtomicBool>,
}

impl Watch {
    fn panicking_at(number: u64) -> Self {
        Self {
            panics_at: Some(number),
            ..Self::default()
        }
    }

    fn see(&self, number: u64) {
        self.seen.fetch_add(1, Ordering::SeqCst);
        if self.panics_at == Some(number) && !self.has_panicked.swap(true, Ordering::SeqCst) {
            panic!("planned");
        }
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Numbers through a keyed sum, watched.
fn pipeline(env: &StreamExecutionEnvironment, name: &str, watch: Watch, sink: CollectSink<(u64, u64)>) {
    env.from_source(SequenceSource::new(0..NUMBERS), name)
        .map(move |number| {
            watch.see(number);
            (number % 7, 1)
        })
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .uid(&format!("{name}-sum"))
        .sink_to(sink)
        .uid(&format!("{name}-sink"));
}

fn assert_counted(mut results: Vec<(u64, u64)>) {
    results.sort_unstable();
    let mut expected: Vec<_> = (0..NUMBERS).map(|number| (number % 7, number / 7 + 1)).collect();
    expected.sort_unstable();
    assert!(
        results == expected,
        "{} results, {} expected",
        results.len(),
        expected.len()
    );
}

fn answers(failures: &[JobFailure]) -> Vec<FailureAnswer> {
    failures.iter().map(|failure| failure.answer).collect()
}

#[test]
fn a_pipeline_that_fails_restarts_and_its_neighbour_reads_nothing_twice() {
    for parallelism in [1, 2] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (failing, healthy) = (Watch::panicking_at(NUMBERS / 2), Watch::default());
        let ((left, left_results), (right, right_results)) = (CollectSink::new(), CollectSink::new());
        pipeline(&env, "left", failing.clone(), left);
        pipeline(&env, "right", healthy.clone(), right);
        let status = run(&env).unwrap().status;
        assert_counted(left_results.take());
        assert_counted(right_results.take());
        assert_eq!(healthy.seen(), NUMBERS, "the other region went on");
        assert!(failing.seen() > NUMBERS, "the failed region read again");
        assert_eq!(status.restarts, 1, "{status:?}");
        let failure = &status.failures[0];
        assert!(
            matches!(failure.answer, FailureAnswer::RestartedRegion { .. }),
            "{failure:?}"
        );
        assert_eq!(failure.task.as_ref().unwrap().operator.as_str(), "left-0");
        assert!(failure.operators.contains(&"map".to_owned()), "{failure:?}");
    }
}

#[test]
fn subtasks_without_an_exchange_restart_alone() {
    let env = environment(2, MemoryCheckpointStorage::new());
    let watch = Watch::panicking_at(NUMBERS / 4);
    let (sink, results) = CollectSink::new();
    let seen = watch.clone();
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(move |number| {
            seen.see(number);
            number
        })
        .sink_to(sink);
    let status = run(&env).unwrap().status;
    let mut found = results.take();
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..NUMBERS));
    assert_eq!(
        answers(&status.failures),
        [FailureAnswer::RestartedRegion { tasks: 1 }]
    );
    assert!(
        watch.seen() <= NUMBERS + NUMBERS / 2,
        "the other half was not read again"
    );
}

#[test]
fn subtasks_of_a_sink_that_recovers_as_a_whole_restart_together() {
    let folder = tempfile::tempdir().unwrap();
    let env = environment(2, MemoryCheckpointStorage::new());
    let watch = Watch::panicking_at(NUMBERS / 4);
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(move |number| {
            watch.see(number);
            number.to_string()
        })
        .sink_to(FileSink::lines(folder.path().join("out")));
    let status = run(&env).unwrap().status;
    assert_eq!(answers(&status.failures), [FailureAnswer::RestartedJob]);
    let files = std::fs::read_dir(folder.path().join("out"))
        .unwrap()
        .map(|file| file.unwrap());
    let visible = files.filter(|file| !file.file_name().to_string_lossy().starts_with('.'));
    let text: String = visible
        .map(|file| std::fs::read_to_string(file.path()).unwrap())
        .collect();
    let mut found: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..NUMBERS));
}

#[test]
fn restarts_of_regions_use_the_attempts_up_like_those_of_the_job() {
    let env = environment(1, MemoryCheckpointStorage::new());
    env.configure(|settings| {
        settings.restart = Some(RestartSettings::FixedDelay {
            attempts: 2,
            delay_ms: 0,
        });
    });
    let ((left, _left), (right, _right)) = (CollectSink::new(), CollectSink::new());
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    env.from_source(SequenceSource::new(0..NUMBERS), "left")
        .map(move |number| {
            if number == 10 {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("planned");
            }
            number
        })
        .sink_to(left);
    pipeline(&env, "right", Watch::default(), right);
    let error = run(&env).unwrap_err();
    assert!(error.to_string().contains("planned"), "{error}");
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}
