//! The conformance suites, for this source and this sink, without a runtime of the caller's.

use crate::support::{Cluster, TOPIC, texts};
use snapline_connector_kafka::krafka::ConsumerRecord;
use snapline_connector_kafka::{KafkaSink, KafkaSource, NewRecord};
use snapline_testkit::sink::{Record, Subject as Written};
use snapline_testkit::source::Subject;
use snapline_testkit::{sink_suite, source_suite};
use std::convert::Infallible;
use std::string::FromUtf8Error;
use tokio::runtime::Builder;

source_suite!(kafka, {
    let cluster = filled();
    let other = cluster.connection();
    let records = (0..7).map(|number| number.to_string());
    Subject::new(move || texts(&cluster).bounded(), records)
        .refusing(move || KafkaSource::new(&other, ["other"], |_| Ok::<_, FromUtf8Error>(String::new())))
});

sink_suite!(transactions, subject(1));

sink_suite!(newer_transactions, subject(2));

/// A sink of a cluster with a version of the protocol of transactions.
fn subject(version: i16) -> Written {
    let cluster = Cluster::with_transactions(version);
    let (of_sink, of_list) = (cluster.clone(), cluster.clone());
    let visible = move || {
        cluster
            .0
            .committed_records(TOPIC)
            .unwrap()
            .iter()
            .map(decoded)
            .collect()
    };
    Written::exactly_once(move || sink(&of_sink), visible).left_behind(move || open_transactions(&of_list))
}

sink_suite!(at_once, {
    let cluster = Cluster::with_partitions(2);
    let of_sink = cluster.clone();
    let visible = move || {
        cluster
            .0
            .committed_records(TOPIC)
            .unwrap()
            .iter()
            .map(decoded)
            .collect()
    };
    Written::at_least_once(move || sink(&of_sink).at_least_once(), visible)
});

fn sink(cluster: &Cluster) -> KafkaSink<Record> {
    KafkaSink::new(&cluster.connection(), TOPIC, |record: &Record| {
        let encoded = NewRecord::value(record.value.to_be_bytes().to_vec());
        Ok::<_, Infallible>(encoded.key(record.key.to_be_bytes().to_vec()))
    })
}

fn decoded(record: &ConsumerRecord) -> Record {
    let number = |bytes: &Option<_>| {
        let bytes: &[u8] = bytes.as_ref().map(AsRef::as_ref).unwrap();
        u64::from_be_bytes(bytes.try_into().unwrap())
    };
    Record {
        key: number(&record.key),
        value: number(&record.value),
    }
}

fn open_transactions(cluster: &Cluster) -> Vec<String> {
    cluster.0.with_state(|state| {
        let open = state
            .transactions
            .iter()
            .filter(|(_, transaction)| transaction.is_open());
        open.map(|(id, _)| id.clone()).collect()
    })
}

/// A cluster with some records in two partitions of three.
fn filled() -> Cluster {
    let cluster = Cluster::with_partitions(3);
    assert!(cluster.0.create_topic("other", 1) && cluster.0.topic_id(TOPIC).is_some());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        cluster.produce(0, 0..3).await;
        cluster.produce(2, 3..7).await;
    });
    cluster
}
