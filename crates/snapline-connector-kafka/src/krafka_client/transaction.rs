//! Transactions that one object begins and another, perhaps in another process, commits.

use super::coordinator;
use super::error::error;
use super::produce::{Failure, theirs};
use crate::client::{KafkaProducer, KafkaTransaction, NewRecord, Outcome, PreparedTransaction, Token};
use async_trait::async_trait;
use krafka::error::{ErrorCode, KrafkaError};
use krafka::producer::{ProducerBuilder, TransactionalProducer};
use krafka::{CloseOptions, Kafka};
use snapline_core::{Error, Result};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long the abort of what nobody will commit may take, in the background.
const ABORT: Duration = Duration::from_secs(5);

pub(super) async fn begin(
    kafka: &Kafka,
    builder: ProducerBuilder,
    transactional_id: &str,
    timeout: Duration,
) -> Result<Box<dyn KafkaTransaction>> {
    let failure = Failure::default();
    let producer = open(builder.interceptor(failure.clone()), transactional_id, timeout).await?;
    let begun = producer.begin();
    begun.map_err(|e| error("beginning a transaction", e).with("transactional id", transactional_id))?;
    Ok(Box::new(Open {
        kafka: kafka.clone(),
        producer: Some(producer),
        failure,
    }))
}

/// Opening a producer fences those before it.
pub(super) async fn fence(builder: ProducerBuilder, transactional_id: &str, timeout: Duration) -> Result<()> {
    let producer = open(builder, transactional_id, timeout).await?;
    producer.close().await.map_err(|e| error("closing a producer", e))
}

async fn open(
    builder: ProducerBuilder,
    transactional_id: &str,
    timeout: Duration,
) -> Result<TransactionalProducer> {
    let builder = builder.idempotent(true).transaction_timeout(timeout);
    let opened = builder.build_transactional(transactional_id).await;
    opened.map_err(|e| error("opening a transactional id", e).with("transactional id", transactional_id))
}

pub(super) async fn commit(kafka: &Kafka, transaction: &PreparedTransaction) -> Result<Outcome> {
    let Err(refusal) = coordinator::commit(kafka, transaction).await else {
        return Ok(Outcome::Committed);
    };
    if let KrafkaError::Broker { code, .. } = &refusal
        && is_over(*code)
    {
        return Ok(Outcome::NotOpen(format!("{code:?}")));
    }
    Err(error("committing a transaction", refusal).with("transactional id", &transaction.transactional_id))
}

/// Whether the answer means that this transaction is not open any more.
fn is_over(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::UnknownProducerId
            | ErrorCode::TransactionalIdNotFound
            | ErrorCode::TransactionAbortable
    )
}

struct Open {
    kafka: Kafka,
    /// Taken when the transaction is prepared.
    producer: Option<TransactionalProducer>,
    failure: Failure,
}

impl Open {
    fn producer(&self) -> Result<&TransactionalProducer> {
        let prepared = || Error::internal("a transaction was used after it was prepared");
        self.producer.as_ref().ok_or_else(prepared)
    }
}

#[async_trait]
impl KafkaProducer for Open {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        for record in records {
            let sent = self.producer()?.enqueue(theirs(record)).await;
            let _acknowledgement = sent.map_err(|e| error("sending a record", e))?;
        }
        self.failure.check()
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = self.producer()?.flush().await;
        flushed.map_err(|e| error("flushing", e))?;
        self.failure.check()
    }
}

#[async_trait]
impl KafkaTransaction for Open {
    async fn prepare(mut self: Box<Self>, token: &Token) -> Result<PreparedTransaction> {
        self.flush().await?;
        let producer = self.producer()?;
        let prepared = PreparedTransaction {
            transactional_id: producer.transactional_id().to_owned(),
            producer_id: producer.producer_id(),
            epoch: producer.producer_epoch(),
            version: producer.transaction_version() as u8,
        };
        let added = coordinator::add_token(&self.kafka, &prepared, token).await;
        added.map_err(|e| error("adding the token of a transaction", e).with("group", &token.group))?;
        // Dropping the producer sends nothing any more, so the transaction stays open.
        self.producer = None;
        Ok(prepared)
    }
}

impl Drop for Open {
    /// Whoever reads committed records waits for the end of each transaction: better now than at its timeout.
    fn drop(&mut self) {
        if let (Some(producer), Ok(runtime)) = (self.producer.take(), Handle::try_current()) {
            runtime.spawn(async move {
                let closed = producer.close_with(CloseOptions::new().timeout(ABORT)).await;
                if let Err(error) = closed {
                    tracing::debug!(%error, "a transaction that nobody will commit is left to its timeout");
                }
            });
        }
    }
}
