//! Exactly once, whatever step of a checkpoint a process dies at, and whatever it does afterwards.

use crate::support::{Cluster, Writer, committer, numbers, prepare, write, writer};
use snapline_connector_kafka::KafkaCommittable;
use snapline_connector_kafka::krafka::error::ErrorCode;
use snapline_connector_kafka::krafka::testing::{ApiKey, Control};
use snapline_core::{AttemptId, CheckpointId, ErrorKind};
use std::time::Duration;

/// How many checkpoints a job takes.
const CHECKPOINTS: u64 = 4;

/// How many records each of two subtasks writes between two checkpoints.
const RECORDS: u64 = 3;

/// After which step of a checkpoint the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    PreCommitOfOne,
    PreCommit,
    Record,
    CommitOfOne,
    Commit,
    Confirm,
}

const STEPS: [Step; 7] = [
    Step::Write,
    Step::PreCommitOfOne,
    Step::PreCommit,
    Step::Record,
    Step::CommitOfOne,
    Step::Commit,
    Step::Confirm,
];

/// What happens to a process that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Its tasks end, and what can be cleaned up is.
    Failure,
    /// It is gone without a word.
    Kill,
    /// It is only believed to be dead, and wakes up when its successor is at work.
    Zombie,
}

/// What outlives processes.
#[derive(Debug, Default)]
struct Store {
    checkpoint: u64,
    committables: Vec<KafkaCommittable>,
    is_confirmed: bool,
}

/// Runs a job from the newest checkpoint, until it has taken all or dies at a step of one. Gives the writers it leaves behind.
async fn run(
    cluster: &Cluster,
    store: &mut Store,
    attempt: u64,
    dies: Option<(u64, Step)>,
    zombies: &mut [Writer],
) -> Vec<Writer> {
    let sink = numbers(cluster);
    let mut committer = committer(&sink, attempt);
    if !store.is_confirmed {
        committer.commit(store.committables.clone()).await.unwrap();
    }
    let restored = (store.checkpoint > 0).then_some(CheckpointId(store.checkpoint));
    committer.recover(AttemptId(attempt), restored).await.unwrap();
    let mut writers = vec![writer(&sink, 0, attempt), writer(&sink, 1, attempt)];
    for checkpoint in store.checkpoint + 1..=CHECKPOINTS {
        let dies_after = |step| dies == Some((checkpoint, step));
        for (subtask, writer) in (0..).zip(&mut writers) {
            let first = (checkpoint * 2 + subtask) * RECORDS;
            write(writer, first..first + RECORDS).await.unwrap();
        }
        wake_up(zombies).await;
        if dies_after(Step::Write) {
            return writers;
        }
        let mut committables = prepare(&mut writers[0], checkpoint).await.unwrap();
        if dies_after(Step::PreCommitOfOne) {
            return writers;
        }
        committables.extend(prepare(&mut writers[1], checkpoint).await.unwrap());
        if dies_after(Step::PreCommit) {
            return writers;
        }
        *store = Store {
            checkpoint,
            committables,
            is_confirmed: false,
        };
        wake_up(zombies).await;
        if dies_after(Step::Record) {
            return writers;
        }
        committer.commit(store.committables[..1].to_vec()).await.unwrap();
        if dies_after(Step::CommitOfOne) {
            return writers;
        }
        committer.commit(store.committables[1..].to_vec()).await.unwrap();
        if dies_after(Step::Commit) {
            return writers;
        }
        store.is_confirmed = true;
        if dies_after(Step::Confirm) {
            return writers;
        }
    }
    writers
}

/// Lets writers of a dead process go on: what they write must never be seen.
async fn wake_up(zombies: &mut [Writer]) {
    for zombie in zombies {
        let written = write(zombie, [666]).await;
        if let (Ok(()), Ok(prepared)) = (written, zombie.prepare_commit(CheckpointId(99))) {
            let refusal = prepared.await.unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::Conflict, "{refusal}");
        }
    }
}

async fn check(version: i16, dies: (u64, Step), death: Death) {
    let cluster = Cluster::with_transactions(version);
    let mut store = Store::default();
    let mut left = run(&cluster, &mut store, 1, Some(dies), &mut []).await;
    match death {
        Death::Failure => left.clear(),
        Death::Kill => left.drain(..).for_each(std::mem::forget),
        Death::Zombie => {}
    }
    run(&cluster, &mut store, 2, None, &mut left).await;
    let all: Vec<u64> = (2 * RECORDS..(CHECKPOINTS + 1) * 2 * RECORDS).collect();
    assert_eq!(cluster.committed(), all, "version {version}, {dies:?}, {death:?}");
    assert!(
        cluster.has_no_open_transaction(),
        "version {version}, {dies:?}, {death:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_record_is_there_once_whatever_step_a_process_dies_at() {
    for version in [1, 2] {
        for checkpoint in 1..=3 {
            for step in STEPS {
                for death in [Death::Failure, Death::Kill, Death::Zombie] {
                    check(version, (checkpoint, step), death).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_repeated() {
    let lost = [
        Control::ApplyThen(Box::new(Control::Disconnect)),
        Control::Disconnect,
        Control::Error(ErrorCode::CoordinatorNotAvailable),
        Control::ApplyThen(Box::new(Control::Error(ErrorCode::NotCoordinator))),
    ];
    for version in [1, 2] {
        for fault in &lost {
            let cluster = Cluster::with_transactions(version);
            let answer = fault.clone();
            cluster.0.on_times(ApiKey::EndTxn, 2, move |_| answer.clone());
            run(&cluster, &mut Store::default(), 1, None, &mut []).await;
            let all: Vec<u64> = (2 * RECORDS..(CHECKPOINTS + 1) * 2 * RECORDS).collect();
            assert_eq!(cluster.committed(), all, "version {version}, {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_answers_is_called_again_and_succeeds() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster);
    let mut committer = committer(&sink, 1);
    let mut writer = writer(&sink, 0, 1);
    write(&mut writer, [1]).await.unwrap();
    let committables = prepare(&mut writer, 1).await.unwrap();
    cluster.0.crash(0);
    let error = committer.commit(committables.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    cluster.0.restart(0);
    committer.commit(committables).await.unwrap();
    assert_eq!(cluster.committed(), [1]);
}

#[tokio::test(start_paused = true)]
async fn open_transactions_of_before_are_aborted_at_the_start_also_with_fewer_subtasks() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster);
    committer(&sink, 1).recover(AttemptId(1), None).await.unwrap();
    let mut left = vec![writer(&sink, 1, 1)];
    for checkpoint in 1..=2 {
        write(&mut left[0], [checkpoint]).await.unwrap();
        prepare(&mut left[0], checkpoint).await.unwrap();
    }
    assert!(!cluster.has_no_open_transaction());
    left.drain(..).for_each(std::mem::forget);
    committer(&numbers(&cluster), 2)
        .recover(AttemptId(2), None)
        .await
        .unwrap();
    assert!(cluster.has_no_open_transaction());
    assert!(cluster.committed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_commit_does_not_hide_ids_that_are_taken_meanwhile() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster);
    let (mut committer, mut writer) = (committer(&sink, 1), writer(&sink, 0, 1));
    write(&mut writer, [1]).await.unwrap();
    let first = prepare(&mut writer, 1).await.unwrap();
    write(&mut writer, [2]).await.unwrap();
    prepare(&mut writer, 2).await.unwrap();
    let registered = cluster.0.request_count(ApiKey::OffsetCommit);
    cluster
        .0
        .on_once(ApiKey::OffsetCommit, |_| Control::Delay(Duration::from_secs(5)));
    let commit = tokio::spawn(async move { committer.commit(first).await });
    let patience = Duration::from_secs(60);
    assert!(
        cluster
            .0
            .wait_for_requests(ApiKey::OffsetCommit, registered + 1, patience)
            .await
    );
    // The first of these takes the id that is free again, the second one that was never used.
    for checkpoint in 3..=4 {
        write(&mut writer, [checkpoint]).await.unwrap();
        prepare(&mut writer, checkpoint).await.unwrap();
    }
    commit.await.unwrap().unwrap();
    std::mem::forget(writer);
    let sink = numbers(&cluster);
    let mut successor = crate::support::committer(&sink, 2);
    successor
        .recover(AttemptId(2), Some(CheckpointId(1)))
        .await
        .unwrap();
    assert!(cluster.has_no_open_transaction());
    assert_eq!(cluster.committed(), [1]);
}
