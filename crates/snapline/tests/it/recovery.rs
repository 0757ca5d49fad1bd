//! Tasks fail; results are as if they had not.

use crate::support::{assert_exactly_once, count_by_remainder, environment, panic_at, run};
use futures::future::BoxFuture;
use snapline::connector::{CollectedPart, Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline::core::{Batch, CheckpointId};
use snapline::prelude::*;
use snapline::{ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const NUMBERS: u64 = 200_000;

#[test]
fn a_task_that_panics_leaves_no_trace_in_the_results() {
    for parallelism in [1, 2, 4] {
        for share in [0, 1, 7, 9] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            let (sink, results) = CollectSink::new();
            count_by_remainder(&env, NUMBERS, panic_at(NUMBERS * share / 10), sink);
            let status = run(&env).unwrap().status;
            assert_eq!(
                (status.state, status.restarts),
                (JobState::Finished, 1),
                "{status:?}"
            );
            assert!(
                status
                    .incidents
                    .iter()
                    .any(|incident| incident.contains("planned")),
                "{status:?}"
            );
            assert_exactly_once(&results.take(), NUMBERS);
        }
    }
}

#[test]
fn a_restart_resumes_from_a_checkpoint_and_does_not_begin_again() {
    let env = environment(1, MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    let failed = Arc::new(AtomicBool::new(false));
    let handle: Arc<std::sync::OnceLock<JobHandle>> = Arc::default();
    let (seen, once) = (handle.clone(), failed.clone());
    let visit = move |number: u64| {
        let completed = || {
            seen.get()
                .is_some_and(|handle| handle.status().checkpoints.completed >= 2)
        };
        if number > 1000 && !once.load(Ordering::SeqCst) && completed() {
            once.store(true, Ordering::SeqCst);
            panic!("planned");
        }
    };
    const LONG: u64 = 3_000_000;
    count_by_remainder(&env, LONG, visit, sink);
    let started = futures::executor::block_on(env.execute_async("test")).unwrap();
    handle.set(started.clone()).unwrap();
    let status = futures::executor::block_on(started.wait()).unwrap().status;
    assert!(
        failed.load(Ordering::SeqCst),
        "the job was over before two checkpoints: {status:?}"
    );
    assert!(status.restored.is_some(), "{status:?}");
    assert_exactly_once(&results.take(), LONG);
}

#[test]
fn without_a_restart_strategy_the_first_failure_ends_the_job_and_names_the_task() {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .build()
        .unwrap();
    let (sink, results) = CollectSink::new();
    count_by_remainder(&env, NUMBERS, panic_at(1000), sink);
    let error = run(&env).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(
        error
            .context("task")
            .is_some_and(|task| task.starts_with("numbers-0[")),
        "{error}"
    );
    assert!(error.to_string().contains("planned"), "{error}");
    assert!(results.take().is_empty());
}

#[test]
fn a_failure_that_does_not_go_away_ends_the_job_when_the_attempts_are_used_up() {
    let env = environment(1, MemoryCheckpointStorage::new());
    env.configure(|settings| {
        settings.restart = Some(RestartSettings::FixedDelay {
            attempts: 3,
            delay_ms: 0,
        })
    });
    let (sink, _) = CollectSink::new();
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let visit = move |number| {
        if number == 10 {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("planned");
        }
    };
    count_by_remainder(&env, NUMBERS, visit, sink);
    assert!(run(&env).is_err());
    assert_eq!(tries.load(Ordering::SeqCst), 4);
}

#[test]
fn final_results_are_emitted_once_whatever_fails() {
    for parallelism in [1, 3] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        let fail = panic_at(50_000);
        env.from_source(SequenceSource::new(0..100_000), "numbers")
            .map(move |number| {
                fail(number);
                (number % 10, number)
            })
            .key_by(|(key, _)| *key)
            .emit(Emit::Final)
            .max(|(_, number)| number)
            .sink_to(sink);
        run(&env).unwrap();
        let mut found = results.take();
        found.sort_unstable();
        let expected: Vec<_> = (0..10).map(|key| (key, 99_990 + key)).collect();
        assert_eq!(found, expected);
    }
}

/// A sink that panics once while it makes its output durable.
struct PanickingSink {
    inner: CollectSink<u64>,
    panics: Arc<AtomicBool>,
}

impl Sink<u64> for PanickingSink {
    type Committable = CollectedPart<u64>;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<u64, CollectedPart<u64>>>> {
        Ok(Box::new(PanickingWriter {
            inner: self.inner.writer(context)?,
            panics: self.panics.clone(),
        }))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<CollectedPart<u64>>>> {
        self.inner.committer(context)
    }
}

struct PanickingWriter {
    inner: Box<dyn SinkWriter<u64, CollectedPart<u64>>>,
    panics: Arc<AtomicBool>,
}

impl SinkWriter<u64, CollectedPart<u64>> for PanickingWriter {
    fn write(&mut self, batch: &mut Batch<u64>) -> Result<()> {
        self.inner.write(batch)
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<CollectedPart<u64>>>>> {
        let prepared = self.inner.prepare_commit(checkpoint)?;
        let panics = self.panics.clone();
        Ok(Box::pin(async move {
            assert!(!panics.swap(false, Ordering::SeqCst), "planned");
            prepared.await
        }))
    }
}

#[test]
fn a_sink_that_panics_beside_its_task_fails_it_at_once() {
    // In the task of the source, which has nothing left to read, and in one of its own.
    for is_chained in [true, false] {
        let env = environment(1, MemoryCheckpointStorage::new());
        env.configure(|settings| {
            let checkpoints = settings.checkpoints.as_mut().unwrap();
            checkpoints.interval_ms = 3_600_000;
            checkpoints.tolerable_failures = u32::MAX;
        });
        let (inner, results) = CollectSink::new();
        let panics = Arc::new(AtomicBool::new(true));
        let numbers = env.from_source(SequenceSource::new(0..100), "numbers");
        let sink = PanickingSink { inner, panics };
        match is_chained {
            true => numbers.sink_to(sink),
            false => numbers.map(|number| number).parallelism(2).sink_to(sink),
        };
        let status = run(&env).unwrap().status;
        assert_eq!(status.restarts, 1, "{status:?}");
        assert!(
            status.failures[0].error.to_string().contains("planned"),
            "{status:?}"
        );
        let mut found = results.take();
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..100));
    }
}
