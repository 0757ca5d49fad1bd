//! What a source reads, and where it goes on.

use crate::support::{Cluster, TOPIC, discover, drain, read, read_exactly, reader, texts};
use futures::FutureExt;
use snapline_connector::{DiscoveryContext, DiscoveryOutlook, SeenSplits, Source, SourceReader};
use snapline_connector_kafka::krafka::Record;
use snapline_connector_kafka::{Isolation, KafkaSplit, KafkaStart, TopicPartition, Undecodable};
use snapline_core::{Batch, CheckpointId, Timestamp};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn positions(splits: &[KafkaSplit]) -> Vec<(i32, i64)> {
    let position = |split: &KafkaSplit| (split.partition().partition, split.next_offset());
    splits.iter().map(position).collect()
}

#[tokio::test(start_paused = true)]
async fn reading_resumes_at_every_record() {
    let cluster = Cluster::with_partitions(2);
    cluster.produce(0, ["a0", "a1", "a2"]).await;
    cluster.produce(1, ["b0", "b1"]).await;
    let source = texts(&cluster).bounded();
    for read_before in 0..=5 {
        let mut first = reader(&source, discover(&source).await.unwrap());
        let mut records = read_exactly(&mut *first, read_before).await;
        let splits = first.snapshot(CheckpointId(1)).unwrap();
        source.enumerator().unwrap().verify(&splits).await.unwrap();
        let mut second = reader(&source, splits);
        records.extend(drain(&mut *second).await.unwrap());
        let of = |letter| records.iter().filter(move |record| record.starts_with(letter));
        assert!(of('a').eq(["a0", "a1", "a2"]), "{read_before}: {records:?}");
        assert!(of('b').eq(["b0", "b1"]), "{read_before}: {records:?}");
        assert!(second.snapshot(CheckpointId(2)).unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_of_one_partition_and_has_its_times() {
    let cluster = Cluster::with_partitions(2);
    cluster.produce(0, 0..3).await;
    cluster.produce(1, 3..6).await;
    let source = texts(&cluster).bounded();
    let mut reader = reader(&source, discover(&source).await.unwrap());
    let mut finished = Vec::new();
    for _ in 0..2 {
        let mut batch = Batch::new();
        while batch.is_empty() {
            let status = futures::future::poll_fn(|cx| reader.poll_batch(cx, &mut batch, 10)).await;
            assert!(status.is_ok());
        }
        let split = reader.current_split().unwrap();
        let expected = if split == 0 {
            ["0", "1", "2"]
        } else {
            ["3", "4", "5"]
        };
        assert_eq!(batch.records, expected);
        assert_eq!(batch.timestamps, Some(vec![Timestamp(1000); 3]));
        finished.extend(reader.take_finished());
    }
    finished.sort_unstable();
    assert_eq!(finished, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_job_begins_where_it_is_told() {
    let cluster = Cluster::with_partitions(2);
    cluster.produce(0, 0..3).await;
    let offsets = [(TopicPartition::new(TOPIC, 0), 2)];
    let cases = [
        (KafkaStart::Earliest, [(0, 0), (1, 0)]),
        (KafkaStart::Latest, [(0, 3), (1, 0)]),
        (KafkaStart::Timestamp(Timestamp(1000)), [(0, 0), (1, 0)]),
        (KafkaStart::Timestamp(Timestamp(1001)), [(0, 3), (1, 0)]),
        (KafkaStart::Offsets(offsets.into()), [(0, 2), (1, 0)]),
    ];
    for (start, expected) in cases {
        let source = texts(&cluster).start(start.clone());
        assert_eq!(
            positions(&discover(&source).await.unwrap()),
            expected,
            "{start:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_committed_records_are_read_and_the_end_is_found_behind_the_ends_of_transactions() {
    for (isolation, expected) in [
        (Isolation::ReadCommitted, vec!["before", "kept"]),
        (Isolation::ReadUncommitted, vec!["before", "dropped", "kept"]),
    ] {
        let cluster = Cluster::with_partitions(1);
        cluster.produce(0, ["before"]).await;
        let client = cluster.client().await;
        let transactions = client.producer().build_transactional("t").await.unwrap();
        transactions.begin().unwrap();
        let _written = transactions.send(Record::new(TOPIC, "dropped")).await.unwrap();
        transactions.abort().await.unwrap();
        transactions.begin().unwrap();
        let _written = transactions.send(Record::new(TOPIC, "kept")).await.unwrap();
        transactions.commit().await.unwrap();
        let source = texts(&cluster).isolation(isolation).bounded();
        let mut reader = reader(&source, discover(&source).await.unwrap());
        assert_eq!(drain(&mut *reader).await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounded_source_does_not_read_what_comes_later() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, ["old"]).await;
    let source = texts(&cluster).bounded();
    let splits = discover(&source).await.unwrap();
    cluster.produce(0, ["new"]).await;
    assert_eq!(drain(&mut *reader(&source, splits)).await.unwrap(), ["old"]);
}

#[tokio::test(start_paused = true)]
async fn an_unbounded_source_waits_for_records() {
    let cluster = Cluster::with_partitions(1);
    let source = texts(&cluster);
    let mut reader = reader(&source, discover(&source).await.unwrap());
    assert!(read(&mut *reader, 1).now_or_never().is_none());
    cluster.produce(0, ["late"]).await;
    assert_eq!(read(&mut *reader, 1).await.unwrap(), ["late"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_decoded_fails_the_job_by_its_place_or_is_skipped() {
    let cluster = Cluster::with_partitions(1);
    let producer = cluster.client().await.producer().build().await.unwrap();
    for value in [&b"good"[..], b"\xff", b"better"] {
        let _written = producer.send(Record::new(TOPIC, value)).await.unwrap();
    }
    let strict = texts(&cluster).bounded();
    let mut refusing = reader(&strict, discover(&strict).await.unwrap());
    let error = drain(&mut *refusing).await.unwrap_err();
    for (name, value) in [("topic", TOPIC), ("partition", "0"), ("offset", "1")] {
        assert_eq!(error.context(name), Some(value), "{error}");
    }
    let lenient = texts(&cluster).bounded().on_undecodable(Undecodable::Skip);
    let mut skipping = reader(&lenient, discover(&lenient).await.unwrap());
    assert_eq!(drain(&mut *skipping).await.unwrap(), ["good", "better"]);
}

/// What a reader has within a while of the cluster's time.
async fn read_for_a_while(reader: &mut dyn SourceReader<String, KafkaSplit>) -> Vec<String> {
    let mut records = Vec::new();
    for _ in 0..10 {
        let mut batch = Batch::new();
        while let Poll::Ready(polled) =
            reader.poll_batch(&mut Context::from_waker(Waker::noop()), &mut batch, 10)
        {
            let _status = polled.unwrap();
        }
        records.extend(batch.records);
        tokio::time::advance(Duration::from_millis(300)).await;
    }
    records
}

#[tokio::test(start_paused = true)]
async fn paused_splits_are_left_aside_and_go_on_with_the_next_record() {
    let cluster = Cluster::with_partitions(2);
    cluster.produce(0, ["a0", "a1"]).await;
    cluster.produce(1, ["b0"]).await;
    let source = texts(&cluster);
    let mut reader = reader(&source, discover(&source).await.unwrap());
    reader.pause_splits(&[0]);
    assert_eq!(read_for_a_while(&mut *reader).await, ["b0"]);
    assert_eq!(
        positions(&reader.snapshot(CheckpointId(1)).unwrap()),
        [(0, 0), (1, 1)]
    );
    reader.pause_splits(&[]);
    assert_eq!(read_exactly(&mut *reader, 2).await, ["a0", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_are_set_when_the_checkpoint_is_complete() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, 0..4).await;
    let source = texts(&cluster).commit_offsets_of("tools");
    let mut reader = reader(&source, discover(&source).await.unwrap());
    for checkpoint in 1..=2 {
        read_exactly(&mut *reader, 2).await;
        reader.snapshot(CheckpointId(checkpoint)).unwrap();
    }
    let committed = || cluster.0.committed_offset("tools", TOPIC, 0);
    assert_eq!(committed(), None);
    reader.on_checkpoint_complete(CheckpointId(1)).unwrap();
    read_for_a_while(&mut *reader).await;
    assert_eq!(committed(), Some(2));
    reader.on_checkpoint_complete(CheckpointId(2)).unwrap();
    read_for_a_while(&mut *reader).await;
    assert_eq!(committed(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_when_the_cluster_was_away() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, ["before"]).await;
    let source = texts(&cluster);
    let mut reader = reader(&source, discover(&source).await.unwrap());
    assert_eq!(read(&mut *reader, 1).await.unwrap(), ["before"]);
    cluster.0.crash(0);
    for _ in 0..30 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(read(&mut *reader, 1).now_or_never().is_none());
    cluster.0.restart(0);
    cluster.produce(0, ["after"]).await;
    assert_eq!(read(&mut *reader, 1).await.unwrap(), ["after"]);
}

#[tokio::test(start_paused = true)]
async fn partitions_that_are_added_are_found_once_and_read_from_their_first_record() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, ["old"]).await;
    let minute = Duration::from_secs(60);
    let source = texts(&cluster)
        .start(KafkaStart::Latest)
        .discover_partitions_every(minute);
    let (context, mut seen) = (DiscoveryContext { parallelism: 1 }, SeenSplits::default());
    let first = source
        .enumerator()
        .unwrap()
        .discover_new(&context, &mut seen)
        .await
        .unwrap();
    assert_eq!(
        (positions(&first.splits), first.outlook),
        (vec![(0, 1)], DiscoveryOutlook::MoreMayCome)
    );
    let mut reader = reader(&source, first.splits);
    assert!(read(&mut *reader, 1).now_or_never().is_none());
    cluster.0.add_partitions(TOPIC, 2);
    cluster.produce(1, ["new"]).await;
    let second = source
        .enumerator()
        .unwrap()
        .discover_new(&context, &mut seen)
        .await
        .unwrap();
    assert_eq!(positions(&second.splits), [(1, 0)]);
    reader.add_splits(second.splits);
    assert_eq!(read(&mut *reader, 1).await.unwrap(), ["new"]);
    cluster.produce(0, ["newer"]).await;
    assert_eq!(read(&mut *reader, 1).await.unwrap(), ["newer"]);
    let third = source
        .enumerator()
        .unwrap()
        .discover_new(&context, &mut seen)
        .await
        .unwrap();
    assert!(third.splits.is_empty());
    assert_eq!(source.discovery_interval(), Some(minute));
    assert_eq!(source.bounded().discovery_interval(), None);
}
