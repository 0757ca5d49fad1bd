//! Kafka as a source and an exactly-once sink of Snapline.
//!
//! | | [`KafkaSource`] | [`KafkaSink`] | [`KafkaSink::at_least_once`] |
//! |---|---|---|---|
//! | guarantee | each record once: the offsets are in the checkpoint | each record once, for those who read committed records | each record at least once |
//! | needs of the servers | to read the topics; retention longer than the job may be away | transactions; `transaction.max.timeout.ms` as long as [`KafkaSink::transaction_timeout`]; to write to the topics, to use transactional ids and to read groups that begin with the prefix | idempotent producers; to write to the topics |
//! | a crash before the checkpoint is complete | records since the checkpoint before are read again | their transactions are aborted at the next start, or at their timeout, and they are written again | they are written again, and seen twice |
//! | a crash after it | nothing is read again | the next start commits their transactions before anything else | nothing is written again |
//!
//! ```no_run
//! use snapline_connector_kafka::{KafkaConnection, KafkaSink, KafkaSource, NewRecord};
//! use std::convert::Infallible;
//!
//! let kafka = KafkaConnection::to("broker1:9092,broker2:9092");
//! let lines = KafkaSource::new(&kafka, ["lines"], |record| {
//!     String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec())
//! });
//! let counts = KafkaSink::new(&kafka, "counts", |(word, count): &(String, u64)| {
//!     Ok::<_, Infallible>(NewRecord::value(count.to_string()).key(word.clone()))
//! });
//! ```
//!
//! # How the sink keeps its promise
//!
//! A writer has one transaction for each checkpoint before which it wrote something. At the barrier it waits until all records
//! are written, and leaves the transaction open; its transactional id, producer id and epoch are what the checkpoint
//! has of it. They are enough for any process to commit it, so a job that dies between the checkpoint and the
//! commit loses nothing. Each transaction has an epoch of its own: a commit that is repeated can never
//! hit another transaction.
//!
//! With each transaction goes a **token**, the number of the checkpoint as the offset of a consumer group that is named
//! like the transactional id and has no members. It becomes visible with the records. When a transaction is not open any more,
//! the token tells whether it was committed before, which is fine, or aborted, for which the job fails and says
//! what to do: restore the checkpoint before. Tokens also tell a job that starts from an older checkpoint, or
//! over, that records would be written twice ([`ExistingOutput`]).
//!
//! Ids are `{prefix}-{job}-{operator}-{subtask}-{slot}`; a subtask needs as many slots as checkpoints are under way, and one more.
//! A group of the name `{prefix}-{job}-{operator}` registers who uses them and how many were ever used. So the
//! next start aborts all that was left open, at any parallelism, and a process that was taken over, or another
//! job with the same ids, is refused (`Conflict`).
//!
//! Kafka forgets groups without members after `offsets.retention.minutes` (seven days). After an outage that long a
//! transaction has timed out anyway, and is reported as lost.
//!
//! # The client
//!
//! Two clients were looked at. `krafka` is Rust throughout, asynchronous, and has a broker for tests that knows transactions and
//! can fail at any request, on which the tests of this crate stand. `rdkafka` wraps a C library that has
//! proven itself for longer, but needs a C toolchain, CMake and system libraries to build, and has no call to commit a
//! transaction of another process either. So [`Krafka`] is the default, and [`KafkaClient`] is the trait
//! behind which another can be plugged in ([`KafkaConnection::with_client`]). It runs on the Tokio runtime of the job.

mod client;
mod connection;
mod krafka_client;
mod runtime;
mod sink;
mod source;

pub use client::{
    ConnectKafka, Headers, Isolation, KafkaClient, KafkaFetcher, KafkaProducer, KafkaRecord,
    KafkaTransaction, NewRecord, OffsetAt, Outcome, PreparedTransaction, Token, TopicPartition,
};
pub use connection::KafkaConnection;
pub use krafka;
pub use krafka_client::Krafka;
pub use sink::{ExistingOutput, KafkaCommittable, KafkaSink};
pub use source::{KafkaSource, KafkaSplit, KafkaStart, Undecodable};
