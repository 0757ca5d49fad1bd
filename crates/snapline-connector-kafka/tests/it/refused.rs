//! What cannot be, and what the error says about it.

use crate::support::{
    Cluster, TOPIC, committer, discover, drain, numbers, prepare, reader, texts, write, writer,
};
use snapline_connector::Source;
use snapline_connector_kafka::krafka::auth::AuthConfig;
use snapline_connector_kafka::krafka::error::ErrorCode;
use snapline_connector_kafka::krafka::testing::{ApiKey, Control};
use snapline_connector_kafka::{KafkaConnection, KafkaSource, KafkaStart, Krafka, TopicPartition};
use snapline_core::{AttemptId, Error, ErrorKind};
use std::string::FromUtf8Error;
use std::time::Duration;

#[track_caller]
fn says<T>(result: Result<T, Error>, kind: ErrorKind, remedy: &str) {
    let Err(error) = result else {
        panic!("it is not refused")
    };
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(remedy), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_down_at_the_start_is_unavailable() {
    let cluster = Cluster::with_partitions(1);
    cluster.0.crash(0);
    let remedy = "check that the servers run";
    says(discover(&texts(&cluster)).await, ErrorKind::Unavailable, remedy);
    let sink = numbers(&cluster);
    says(
        committer(&sink, 1).recover(AttemptId(1), None).await,
        ErrorKind::Unavailable,
        remedy,
    );
    let mut writer = writer(&sink, 0, 1);
    let prepared = async {
        write(&mut writer, [1]).await?;
        prepare(&mut writer, 1).await
    };
    says(prepared.await, ErrorKind::Unavailable, "");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_are_named() {
    let cluster = Cluster::with_partitions(1);
    cluster.0.require_sasl_plain("job", "right");
    let broker = cluster.0.clone();
    let connect = Krafka::new(move || broker.kafka().security(AuthConfig::sasl_plain("job", "wrong")));
    let connection = KafkaConnection::with_client(connect);
    let source: KafkaSource<String> =
        KafkaSource::new(&connection, [TOPIC], |_| Ok::<_, FromUtf8Error>(String::new()));
    says(
        discover(&source).await,
        ErrorKind::Invalid,
        "check user, password",
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_named() {
    let cluster = Cluster::with_partitions(1);
    assert!(cluster.0.delete_topic(TOPIC));
    says(
        discover(&texts(&cluster)).await,
        ErrorKind::Invalid,
        "topic: numbers",
    );
    let sink = numbers(&cluster);
    let mut writer = writer(&sink, 0, 1);
    let prepared = async {
        write(&mut writer, [1]).await?;
        prepare(&mut writer, 1).await
    };
    says(
        prepared.await,
        ErrorKind::Invalid,
        "create it, or correct its name",
    );
}

#[tokio::test(start_paused = true)]
async fn offsets_to_start_at_must_be_in_partitions_that_exist() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, 0..2).await;
    let start =
        |partition, offset| KafkaStart::Offsets([(TopicPartition::new(TOPIC, partition), offset)].into());
    let outside = texts(&cluster).start(start(0, 3));
    says(discover(&outside).await, ErrorKind::Invalid, "end: 2");
    let nowhere = texts(&cluster).start(start(1, 0));
    says(discover(&nowhere).await, ErrorKind::Invalid, "numbers-1");
}

#[tokio::test(start_paused = true)]
async fn splits_that_cannot_be_read_any_more_are_refused() {
    let cluster = Cluster::with_partitions(2);
    cluster.produce(0, 0..3).await;
    let source = texts(&cluster).start(KafkaStart::Latest);
    let splits = discover(&source).await.unwrap();
    let verified = |source: &KafkaSource<String>| {
        let (mut enumerator, splits) = (source.enumerator().unwrap(), splits.clone());
        async move { enumerator.verify(&splits).await }
    };
    verified(&source).await.unwrap();
    let connection = cluster.connection();
    let other: KafkaSource<String> =
        KafkaSource::new(&connection, ["other"], |_| Ok::<_, FromUtf8Error>(String::new()));
    says(
        verified(&other).await,
        ErrorKind::Invalid,
        "another topic was read",
    );
    cluster.0.delete_topic(TOPIC);
    says(verified(&source).await, ErrorKind::Invalid, "topic: numbers");
    cluster.0.create_topic(TOPIC, 2);
    says(verified(&source).await, ErrorKind::Invalid, "made anew");
    cluster.0.delete_topic(TOPIC);
    cluster.0.create_topic(TOPIC, 1);
    cluster.produce(0, 0..3).await;
    says(verified(&source).await, ErrorKind::Invalid, "numbers-1");
    cluster.0.delete_topic(TOPIC);
    cluster.0.create_topic(TOPIC, 2);
    cluster.0.with_state(|state| {
        let partition = state.partition_mut(TOPIC, 0).unwrap();
        partition.log_start_offset = 4;
        partition.next_offset = 5;
    });
    says(verified(&source).await, ErrorKind::Invalid, "raise the retention");
}

#[tokio::test(start_paused = true)]
async fn records_that_are_gone_while_reading_fail_the_job() {
    let cluster = Cluster::with_partitions(1);
    cluster.produce(0, 0..3).await;
    let source = texts(&cluster).bounded();
    let splits = discover(&source).await.unwrap();
    cluster
        .0
        .on(ApiKey::Fetch, |_| Control::Error(ErrorCode::OffsetOutOfRange));
    says(
        drain(&mut *reader(&source, splits)).await,
        ErrorKind::Invalid,
        "raise the retention",
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_vanishes_while_reading_fails_the_job() {
    let cluster = Cluster::with_partitions(1);
    let source = texts(&cluster);
    let mut reader = reader(&source, discover(&source).await.unwrap());
    assert!(futures::FutureExt::now_or_never(drain(&mut *reader)).is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    cluster.0.delete_topic(TOPIC);
    says(drain(&mut *reader).await, ErrorKind::Invalid, "");
}

#[tokio::test(start_paused = true)]
async fn what_the_servers_refuse_of_a_sink_is_explained() {
    let cases = [
        (
            ApiKey::InitProducerId,
            ErrorCode::InvalidTransactionTimeout,
            ErrorKind::Invalid,
            "transaction.max.timeout.ms",
        ),
        (
            ApiKey::InitProducerId,
            ErrorCode::TransactionalIdAuthorizationFailed,
            ErrorKind::Invalid,
            "rights",
        ),
        (
            ApiKey::Produce,
            ErrorCode::MessageTooLarge,
            ErrorKind::Invalid,
            "max.message.bytes",
        ),
        (
            ApiKey::Produce,
            ErrorCode::TopicAuthorizationFailed,
            ErrorKind::Invalid,
            "rights",
        ),
        (
            ApiKey::TxnOffsetCommit,
            ErrorCode::GroupAuthorizationFailed,
            ErrorKind::Invalid,
            "rights",
        ),
    ];
    for (api, code, kind, remedy) in cases {
        let cluster = Cluster::with_transactions(1);
        cluster.0.on(api, move |_| Control::Error(code));
        let sink = numbers(&cluster);
        let mut writer = writer(&sink, 0, 1);
        let prepared = async {
            write(&mut writer, [1]).await?;
            prepare(&mut writer, 1).await
        };
        says(prepared.await, kind, remedy);
        assert!(
            futures::future::poll_fn(|cx| writer.poll_ready(cx))
                .await
                .is_err()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_client_does_not_take_is_too_large() {
    use snapline_connector::{Sink, WriterContext};
    use snapline_connector_kafka::{KafkaSink, NewRecord};
    use snapline_core::{Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
    let cluster = Cluster::with_transactions(1);
    let broker = cluster.0.clone();
    let connect = Krafka::new(move || broker.kafka());
    let connect = connect.producers(|producer| producer.batch_size(1024).max_request_size(4096));
    let sink = KafkaSink::new(
        &KafkaConnection::with_client(connect),
        TOPIC,
        |bytes: &Vec<u8>| Ok::<_, FromUtf8Error>(NewRecord::value(bytes.clone())),
    );
    let context = WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
        attempt: AttemptId(1),
    };
    let mut writer = sink.writer(context).unwrap();
    writer.write(&mut Batch::from(vec![vec![7; 5000]])).unwrap();
    let prepared = writer.prepare_commit(CheckpointId(1)).unwrap().await;
    says(prepared, ErrorKind::Invalid, "larger than kafka takes");
}
