//! What a handle tells of the checkpoints of its job.

use crate::held::{HeldSource, Hold};
use crate::support::{environment, wait_for};
use futures::executor::block_on;
use snapline::coordinator::{CheckpointReport, CheckpointStatus};
use snapline::core::CheckpointKind;
use snapline::prelude::*;
use std::time::Duration;

/// A job with two tasks of two subtasks that has completed a few checkpoints and a savepoint; and what
/// its handle said then.
fn reports() -> Vec<CheckpointReport> {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(2));
    let (feed, source) = ChannelSource::bounded(1 << 12);
    env.from_source(source, "numbers")
        .key_by(|number: &u64| *number)
        .sum(|number| number)
        .uid("sum")
        .sink_to(DiscardSink);
    let job = block_on(env.execute_async("test")).unwrap();
    for number in 0..1000 {
        block_on(feed.send(number)).unwrap();
    }
    wait_for(&job, |status| {
        status.records == 1000 && status.checkpoints.completed >= 2
    });
    block_on(job.savepoint("savepoints/one".into())).unwrap();
    let told = job.checkpoints();
    drop(feed);
    block_on(job.wait()).unwrap();
    assert!(told.completed >= 3, "{told:?}");
    assert!(told.summary.duration.max >= told.summary.duration.min);
    assert_eq!(told.restores.len(), 1, "the start is in the list: {told:?}");
    told.history.iter().map(|report| (**report).clone()).collect()
}

#[test]
fn every_task_has_its_part_in_the_report_of_a_checkpoint() {
    let reports = reports();
    let savepoint = |report: &&CheckpointReport| report.kind == CheckpointKind::Savepoint;
    let newest = reports.iter().find(savepoint).unwrap();
    assert_eq!(newest.status, CheckpointStatus::Completed);
    assert_eq!((newest.tasks, newest.acknowledged.len()), (4, 4), "{newest:?}");
    assert!(
        newest.total_bytes > 0
            && newest
                .until_acknowledged
                .is_none_or(|until| until <= newest.duration)
    );
    let times = newest.acknowledged.iter().filter_map(|part| part.acknowledged);
    assert!(
        times.clone().count() >= 3,
        "a source without splits may have finished: {newest:?}"
    );
    assert!(times.max().unwrap() <= newest.duration, "{newest:?}");
}

#[test]
fn a_restart_keeps_what_is_known_of_earlier_checkpoints() {
    let env = environment(1, MemoryCheckpointStorage::new());
    let hold = Hold::at(10);
    env.from_source(HeldSource::new(Some(0..20), &hold), "numbers")
        .sink_to(DiscardSink);
    let job = block_on(env.execute_async("test")).unwrap();
    wait_for(&job, |status| status.checkpoints.completed >= 2);
    hold.fail_once();
    wait_for(&job, |status| status.restarts == 1 && status.restored.is_some());
    let restored = job.status().restored.unwrap();
    wait_for(&job, |status| status.checkpoints.latest > Some(restored));
    let told = job.checkpoints();
    hold.allow(u64::MAX);
    let status = block_on(job.wait()).unwrap().status;
    let ids: Vec<_> = told.history.iter().map(|report| report.checkpoint).collect();
    assert!(
        ids.contains(&restored) && ids.iter().any(|id| *id > restored),
        "{told:?}"
    );
    assert_eq!(told.restores.len(), 2, "{told:?}");
    assert!(told.completed >= 3 && status.checkpoints.completed > told.completed);
    assert_eq!(
        job.checkpoints().completed,
        status.checkpoints.completed,
        "the end of the job changes nothing"
    );
}
