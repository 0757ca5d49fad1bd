//! What a sink makes visible, and when.

use crate::support::{Cluster, TOPIC, committer, numbers, prepare, write, writer};
use snapline_connector_kafka::ExistingOutput;
use snapline_connector_kafka::krafka::testing::{ApiKey, Control};
use snapline_core::{AttemptId, CheckpointId, ErrorKind};

/// The versions of the protocol of transactions that servers have.
const VERSIONS: [i16; 2] = [1, 2];

#[tokio::test(start_paused = true)]
async fn records_are_visible_when_their_checkpoint_is_committed_and_no_others() {
    for version in VERSIONS {
        let cluster = Cluster::with_transactions(version);
        let sink = numbers(&cluster);
        let mut committer = committer(&sink, 1);
        committer.recover(AttemptId(1), None).await.unwrap();
        let mut writer = writer(&sink, 0, 1);
        write(&mut writer, 0..4).await.unwrap();
        let first = prepare(&mut writer, 1).await.unwrap();
        write(&mut writer, 4..6).await.unwrap();
        assert!(cluster.committed().is_empty());
        committer.commit(first).await.unwrap();
        assert_eq!(cluster.committed(), [0, 1, 2, 3]);
        let second = prepare(&mut writer, 2).await.unwrap();
        committer.commit(second).await.unwrap();
        assert_eq!(cluster.committed(), [0, 1, 2, 3, 4, 5]);
        assert!(cluster.has_no_open_transaction());
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_without_records_has_no_transaction() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster);
    let mut writer = writer(&sink, 0, 1);
    assert!(prepare(&mut writer, 1).await.unwrap().is_empty());
    assert_eq!(cluster.0.request_count(ApiKey::InitProducerId), 0);
}

#[tokio::test(start_paused = true)]
async fn checkpoints_under_way_have_transactions_of_their_own_and_ids_are_used_again() {
    let cluster = Cluster::with_transactions(2);
    let sink = numbers(&cluster);
    let mut committer = committer(&sink, 1);
    let mut writer = writer(&sink, 0, 1);
    for round in 0..4 {
        let mut committables = Vec::new();
        for checkpoint in [2 * round + 1, 2 * round + 2] {
            write(&mut writer, [checkpoint]).await.unwrap();
            committables.extend(prepare(&mut writer, checkpoint).await.unwrap());
        }
        committer.commit(committables).await.unwrap();
    }
    assert_eq!(cluster.committed(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let known = |slot| {
        cluster
            .0
            .transaction_status(&format!("snapline-job-sink-0-{slot}"))
    };
    assert!(known(0).is_some() && known(1).is_some() && known(2).is_none());
}

#[tokio::test(start_paused = true)]
async fn committing_again_changes_nothing_even_when_the_id_is_in_use_again() {
    for version in VERSIONS {
        let cluster = Cluster::with_transactions(version);
        let sink = numbers(&cluster);
        let mut committer = committer(&sink, 1);
        let mut writer = writer(&sink, 0, 1);
        write(&mut writer, [1]).await.unwrap();
        let first = prepare(&mut writer, 1).await.unwrap();
        committer.commit(first.clone()).await.unwrap();
        committer.commit(first.clone()).await.unwrap();
        write(&mut writer, [2]).await.unwrap();
        let second = prepare(&mut writer, 2).await.unwrap();
        committer.commit(first.clone()).await.unwrap();
        assert_eq!(cluster.committed(), [1]);
        committer.commit(second).await.unwrap();
        committer.commit(first).await.unwrap();
        assert_eq!(cluster.committed(), [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_aborted_is_reported_as_lost_and_never_passed_over() {
    for version in VERSIONS {
        let cluster = Cluster::with_transactions(version);
        let sink = numbers(&cluster);
        let mut committer = committer(&sink, 1);
        let mut writer = writer(&sink, 0, 1);
        write(&mut writer, [1]).await.unwrap();
        let committables = prepare(&mut writer, 1).await.unwrap();
        assert!(cluster.0.abort_transaction("snapline-job-sink-0-0"));
        for _ in 0..2 {
            let error = committer.commit(committables.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("raise the timeout"), "{error}");
            assert_eq!(error.context("transactional id"), Some("snapline-job-sink-0-0"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_starts_before_what_was_committed_is_refused_unless_records_may_be_repeated() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster);
    let mut first = committer(&sink, 1);
    let mut writer_of_first = writer(&sink, 0, 1);
    for checkpoint in 1..=3 {
        write(&mut writer_of_first, [checkpoint]).await.unwrap();
        first
            .commit(prepare(&mut writer_of_first, checkpoint).await.unwrap())
            .await
            .unwrap();
    }
    let resumed = committer(&sink, 2)
        .recover(AttemptId(2), Some(CheckpointId(3)))
        .await;
    assert!(resumed.is_ok(), "{resumed:?}");
    for restored in [None, Some(CheckpointId(2))] {
        let error = committer(&sink, 3)
            .recover(AttemptId(3), restored)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("committed up to"), Some("3"), "{error}");
    }
    let repeating = numbers(&cluster).on_existing(ExistingOutput::Repeat);
    committer(&repeating, 4)
        .recover(AttemptId(4), None)
        .await
        .unwrap();
    // The tokens of before must not stand for transactions of the new history.
    let mut writer = writer(&repeating, 0, 4);
    write(&mut writer, [9]).await.unwrap();
    let committables = prepare(&mut writer, 1).await.unwrap();
    assert!(cluster.0.abort_transaction("snapline-job-sink-0-0"));
    assert!(committer(&repeating, 4).commit(committables).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn another_job_with_the_same_ids_is_told() {
    let cluster = Cluster::with_transactions(1);
    let (ours, theirs) = (numbers(&cluster), numbers(&cluster));
    committer(&ours, 5).recover(AttemptId(5), None).await.unwrap();
    let mut our_writer = writer(&ours, 0, 5);
    write(&mut our_writer, [1]).await.unwrap();
    let committables = prepare(&mut our_writer, 1).await.unwrap();
    let error = committer(&theirs, 1)
        .recover(AttemptId(1), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("prefix of its own"), "{error}");
    committer(&ours, 5).commit(committables).await.unwrap();
    assert_eq!(cluster.committed(), [1]);
    let apart = numbers(&cluster).transactional_id_prefix("theirs");
    committer(&apart, 1).recover(AttemptId(1), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_transactions_records_are_visible_when_they_are_pre_committed() {
    let cluster = Cluster::with_transactions(1);
    let sink = numbers(&cluster).at_least_once();
    let mut committer = committer(&sink, 1);
    committer.recover(AttemptId(1), None).await.unwrap();
    let mut writer = writer(&sink, 0, 1);
    write(&mut writer, 0..3).await.unwrap();
    assert!(prepare(&mut writer, 1).await.unwrap().is_empty());
    assert_eq!(cluster.committed(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_cluster_makes_the_writer_wait() {
    let cluster = Cluster::with_transactions(1);
    cluster.0.on(ApiKey::InitProducerId, |_| Control::Silence);
    let sink = numbers(&cluster);
    let mut writer = writer(&sink, 0, 1);
    write(&mut writer, 0..100_000).await.unwrap();
    let ready = futures::future::poll_fn(|cx| writer.poll_ready(cx));
    assert!(futures::FutureExt::now_or_never(ready).is_none());
}

#[tokio::test(start_paused = true)]
async fn keys_headers_times_and_topics_of_records_are_written() {
    use snapline_connector::Sink;
    use snapline_connector_kafka::{KafkaSink, NewRecord};
    use snapline_core::{Batch, Timestamp};
    let cluster = Cluster::with_transactions(1);
    assert!(cluster.0.create_topic("other", 1));
    let sink = KafkaSink::new(&cluster.connection(), TOPIC, |topic: &String| {
        let record = NewRecord::tombstone("key")
            .header("name", "value")
            .timestamp(Timestamp(7));
        Ok::<_, std::convert::Infallible>(record.topic(topic.clone()))
    })
    .at_least_once();
    let context = snapline_connector::WriterContext {
        job: snapline_core::JobId::from_text("job"),
        operator: snapline_core::OperatorUid::from_text("sink"),
        subtask: snapline_core::SubtaskIndex(0),
        parallelism: 1,
        attempt: snapline_core::AttemptId(1),
    };
    let mut writer = sink.writer(context).unwrap();
    writer.write(&mut Batch::from(vec!["other".to_owned()])).unwrap();
    writer.prepare_commit(CheckpointId(1)).unwrap().await.unwrap();
    let records = cluster.0.committed_records("other").unwrap();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
    assert_eq!((record.value.as_deref(), record.timestamp), (None, 7));
    assert_eq!(record.headers, [("name".to_owned(), Some("value".into()))]);
}
