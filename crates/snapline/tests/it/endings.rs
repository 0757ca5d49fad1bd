//! Tasks that fail while the job, or a loop in it, is about to end.

use crate::support::{self, run};
use futures::executor::block_on;
use snapline::Result;
use snapline::core::{AttemptId, SubtaskId, SystemClock};
use snapline::dataflow::{FailureAnswer, SavepointRequest};
use snapline::prelude::*;
use snapline::runtime::{ClusterParts, LocalCluster, Probe, TaskStep, TokioExecutor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Panics so often when the second subtask of this operator is about to take such a step.
#[derive(Debug)]
struct PanicBefore {
    operator: &'static str,
    step: fn(TaskStep) -> bool,
    panics: AtomicU32,
}

impl Probe for PanicBefore {
    fn on_task(&self, task: &SubtaskId, _: AttemptId, step: TaskStep) {
        let is_here = task.operator.as_str() == self.operator && task.index.0 == 1 && (self.step)(step);
        let less = |left: u32| left.checked_sub(1);
        let is_due = || {
            self.panics
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        };
        assert!(!is_here || !is_due(), "planned");
    }
}

/// Two subtasks of everything, one of which panics before a step.
fn environment(
    operator: &'static str,
    step: fn(TaskStep) -> bool,
    panics: u32,
) -> StreamExecutionEnvironment {
    let executor = Arc::new(TokioExecutor::new().unwrap());
    let mut parts = ClusterParts::new(executor, Arc::new(SystemClock::new()));
    parts.probe = Some(Arc::new(PanicBefore {
        operator,
        step,
        panics: AtomicU32::new(panics),
    }));
    StreamExecutionEnvironment::builder()
        .parallelism(2)
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .restart(RestartSettings::FixedDelay {
            attempts: 3,
            delay_ms: 0,
        })
        .runner(LocalCluster::assemble(parts))
        .build()
        .unwrap()
}

#[test]
fn a_task_that_fails_after_the_savepoint_with_which_the_job_stops_is_not_restarted() {
    let env = environment("numbers-0", |step| matches!(step, TaskStep::Complete(_)), 1);
    env.enable_checkpointing(Duration::from_secs(600));
    let (_feed, source) = ChannelSource::<u64>::bounded(8);
    let (sink, _results) = CollectSink::new();
    env.from_source(source, "numbers")
        .map(|number| number)
        .sink_to(sink);
    let job = block_on(env.execute_async("job")).unwrap();
    block_on(job.savepoint(SavepointRequest::new("savepoints/stop").suspend())).unwrap();
    let status = block_on(job.wait()).unwrap().status;
    assert_eq!(
        (status.state, status.restarts),
        (JobState::Suspended, 0),
        "{status:?}"
    );
}

#[test]
fn a_loop_of_which_one_part_has_ended_can_start_again_in_the_other() {
    let env = environment("head", |step| step == TaskStep::EndOfData, 2);
    env.enable_checkpointing(Duration::from_millis(2));
    let (sink, results) = CollectSink::new();
    env.from_source(SequenceSource::new(0..20), "numbers")
        .iterate(|numbers| {
            let smaller = numbers.uid("head").map(|number| number / 2);
            (
                smaller.filter(|number| *number > 0),
                smaller.filter(|number| *number == 0),
            )
        })
        .sink_to(sink);
    let status = run(&env).unwrap().status;
    assert_eq!(results.take(), [0; 20]);
    let answers: Vec<_> = status.failures.iter().map(|failure| failure.answer).collect();
    assert_eq!(answers, [FailureAnswer::RestartedRegion { tasks: 2 }; 2]);
}

/// Registers a timer for the end of the data with each number, and emits the number then.
#[derive(Clone)]
struct AtTheEnd;

impl KeyedProcessFunction<u64, u64> for AtTheEnd {
    type Output = u64;

    fn process_element(
        &mut self,
        _: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        context.register_event_time_timer(Timestamp::MAX)
    }

    fn on_timer(
        &mut self,
        _: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        out.collect(*context.current_key());
        Ok(())
    }
}

#[test]
fn results_of_the_end_are_committed_when_barriers_come_while_it_is_worked_off() {
    const NUMBERS: u64 = 100_000;
    for _ in 0..4 {
        let env = support::environment(2, MemoryCheckpointStorage::new());
        env.enable_checkpointing(Duration::from_millis(1));
        let (sink, results) = CollectSink::new();
        env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
            .key_by(|number| *number)
            .process(AtTheEnd)
            .sink_to(sink);
        run(&env).unwrap();
        let mut results = results.take();
        results.sort_unstable();
        assert!(results.into_iter().eq(0..NUMBERS));
    }
}
