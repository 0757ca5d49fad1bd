//! Topics of a broker for tests, which crashes and keeps its logs, as one with a disk does.

use super::outside::{Form, Outside, Row, assert_all_once};
use snapline::Result;
use snapline::connectors::kafka::{KafkaConnection, KafkaSink, NewRecord};
use snapline::prelude::*;
use snapline_connector_kafka::krafka::testing::FakeBroker;
use std::convert::Infallible;
use tokio::runtime::Runtime;

const PARTITIONS: i32 = 2;

pub(crate) struct Kafka {
    broker: FakeBroker,
    /// On which the broker answers.
    _runtime: Runtime,
}

impl Kafka {
    pub(crate) fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let broker = runtime.block_on(FakeBroker::start());
        Ok(Self {
            broker: broker.map_err(|error| error.to_string())?,
            _runtime: runtime,
        })
    }
}

impl Outside for Kafka {
    fn prepare(&mut self, _: Form, name: &str) -> String {
        assert!(self.broker.create_topic(name, PARTITIONS));
        self.broker.bootstrap_servers()
    }

    fn restart(&mut self) {
        self.broker.crash(0);
        self.broker.restart(0);
    }

    fn assert_exactly_once(&self, form: Form, name: &str) {
        let is_open = self.broker.with_state(|state| {
            let mut transactions = state.transactions.values();
            transactions.any(|transaction| transaction.is_open())
        });
        assert!(!is_open, "{name}: a transaction was left open");
        let number = |bytes: &Option<_>| {
            let bytes: &[u8] = bytes.as_ref().map(AsRef::as_ref).unwrap();
            i64::from_be_bytes(bytes.try_into().unwrap())
        };
        let records = self.broker.committed_records(name).unwrap();
        let rows = records
            .iter()
            .map(|record| (number(&record.key), number(&record.value)));
        assert_all_once(rows, form.rows(), name);
    }
}

pub(crate) fn write(rows: DataStream<Row>, servers: &str, name: &str) {
    let sink = KafkaSink::new(&KafkaConnection::to(servers), name, |(key, value): &Row| {
        let record = NewRecord::value(value.to_be_bytes().to_vec());
        Ok::<_, Infallible>(record.key(key.to_be_bytes().to_vec()))
    });
    rows.sink_to(sink).uid("rows");
}
