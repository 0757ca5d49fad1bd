//! The three requests about a transaction that the client sends only for producers of its own process.
//!
//! After a crash somebody else has to commit what a producer has prepared, by its id and epoch alone. `krafka` has no
//! public call for that (nor has the client in Java, where Flink reaches into private fields), so these requests are
//! made of its own types of the protocol, over its connections. Their interface may change in any version,
//! for which the version is pinned.

use crate::client::{PreparedTransaction, Token};
use krafka::__private::network::BrokerConnection;
use krafka::__private::protocol::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, EndTxnRequest, EndTxnResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    VersionedDecode, VersionedEncode, versions,
};
use krafka::__private::{kafka_metadata, kafka_pool};
use krafka::Kafka;
use krafka::error::{ErrorCode, KrafkaError, ProtocolErrorKind, Result};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often a request is repeated.
const TRIES: usize = 50;

/// How long to wait before a request is repeated.
const PAUSE: Duration = Duration::from_millis(200);

/// The version of transactions from which on partitions join by themselves, and each end raises the epoch (KIP-890).
const IMPLICIT: u8 = 2;

/// Adds the token to the offsets that become visible with the transaction.
pub(super) async fn add_token(kafka: &Kafka, transaction: &PreparedTransaction, token: &Token) -> Result<()> {
    let mut tries = Tries::default();
    loop {
        match try_add_token(kafka, transaction, token, tries.0).await {
            Err(error) => tries.after(error).await?,
            Ok(()) => return Ok(()),
        }
    }
}

/// Commits.
pub(super) async fn commit(kafka: &Kafka, transaction: &PreparedTransaction) -> Result<()> {
    let mut tries = Tries::default();
    loop {
        match try_commit(kafka, transaction, tries.0).await {
            Err(error) => tries.after(error).await?,
            Ok(()) => return Ok(()),
        }
    }
}

async fn try_commit(kafka: &Kafka, transaction: &PreparedTransaction, attempt: usize) -> Result<()> {
    let supported = if transaction.version < IMPLICIT {
        versions::END_TXN_MIN..=4
    } else {
        5..=versions::END_TXN_MAX
    };
    let PreparedTransaction {
        transactional_id: id,
        producer_id,
        epoch,
        ..
    } = transaction;
    let request = EndTxnRequest::commit(id, *producer_id, *epoch);
    let coordinator = coordinator(kafka, &FindCoordinatorRequest::for_transaction(id), attempt).await?;
    let response: EndTxnResponse = exchange(&coordinator, ApiKey::EndTxn, supported, &request).await?;
    refused(response.error_code, "EndTxn")
}

async fn try_add_token(
    kafka: &Kafka,
    transaction: &PreparedTransaction,
    token: &Token,
    attempt: usize,
) -> Result<()> {
    if transaction.version < IMPLICIT {
        join_group(kafka, transaction, token, attempt).await?;
    }
    stage_token(kafka, transaction, token, attempt).await
}

async fn join_group(
    kafka: &Kafka,
    transaction: &PreparedTransaction,
    token: &Token,
    attempt: usize,
) -> Result<()> {
    let PreparedTransaction {
        transactional_id: id,
        producer_id,
        epoch,
        ..
    } = transaction;
    let request = AddOffsetsToTxnRequest::new(id, *producer_id, *epoch, &token.group);
    let supported = versions::ADD_OFFSETS_TO_TXN_MIN..=versions::ADD_OFFSETS_TO_TXN_MAX;
    let coordinator = coordinator(kafka, &FindCoordinatorRequest::for_transaction(id), attempt).await?;
    let response: AddOffsetsToTxnResponse =
        exchange(&coordinator, ApiKey::AddOffsetsToTxn, supported, &request).await?;
    refused(response.error_code, "AddOffsetsToTxn")
}

async fn stage_token(
    kafka: &Kafka,
    transaction: &PreparedTransaction,
    token: &Token,
    attempt: usize,
) -> Result<()> {
    let PreparedTransaction {
        transactional_id: id,
        producer_id,
        epoch,
        version,
    } = transaction;
    let request = TxnOffsetCommitRequest::new(id, &token.group, *producer_id, *epoch);
    let partition = &token.partition;
    let request = request.add_offset(&partition.topic, partition.partition, token.offset, None);
    let oldest = if *version < IMPLICIT {
        versions::TXN_OFFSET_COMMIT_MIN
    } else {
        5
    };
    let supported = oldest..=versions::TXN_OFFSET_COMMIT_MAX;
    let coordinator = coordinator(kafka, &FindCoordinatorRequest::for_group(&token.group), attempt).await?;
    let response: TxnOffsetCommitResponse =
        exchange(&coordinator, ApiKey::TxnOffsetCommit, supported, &request).await?;
    let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.try_for_each(|partition| refused(partition.error_code, "TxnOffsetCommit"))
}

/// A connection to who is in charge of a transactional id or a group. Each attempt asks another server.
async fn coordinator(
    kafka: &Kafka,
    request: &FindCoordinatorRequest,
    attempt: usize,
) -> Result<Arc<BrokerConnection>> {
    let brokers = kafka_metadata(kafka).brokers();
    let Some(broker) = brokers.get(attempt % brokers.len().max(1)) else {
        return Err(KrafkaError::broker(
            ErrorCode::CoordinatorNotAvailable,
            "no server is known",
        ));
    };
    let pool = kafka_pool(kafka);
    let asked = pool.get_connection_by_id(broker.id(), broker.address()).await?;
    let supported = versions::FIND_COORDINATOR_MIN..=versions::FIND_COORDINATOR_MAX;
    let found: FindCoordinatorResponse =
        exchange(&asked, ApiKey::FindCoordinator, supported, request).await?;
    refused(found.error_code, "FindCoordinator")?;
    pool.get_connection_by_id(found.node_id, &address(&found.host, found.port))
        .await
}

async fn exchange<R: VersionedDecode>(
    server: &BrokerConnection,
    api: ApiKey,
    supported: RangeInclusive<i16>,
    request: &impl VersionedEncode,
) -> Result<R> {
    let version = server.negotiate_api_version(api, *supported.end(), *supported.start());
    let version = version.ok_or_else(|| {
        KrafkaError::protocol_kind(
            ProtocolErrorKind::UnknownApiVersion,
            format!("{api:?} {supported:?}"),
        )
    })?;
    let mut response = server
        .send_request(api, version, |buffer| request.encode_versioned(version, buffer))
        .await?;
    R::decode_versioned(version, &mut response)
}

fn refused(code: ErrorCode, request: &'static str) -> Result<()> {
    match code {
        ErrorCode::None => Ok(()),
        code => Err(KrafkaError::broker(code, request)),
    }
}

fn address(host: &str, port: i32) -> String {
    if host.contains(':') && !host.starts_with('[') {
        return format!("[{host}]:{port}");
    }
    format!("{host}:{port}")
}

/// Counts how often a request was tried.
#[derive(Default)]
struct Tries(usize);

impl Tries {
    /// Waits before the next try of what may succeed later.
    async fn after(&mut self, error: KrafkaError) -> Result<()> {
        if !error.is_retriable() || self.0 == TRIES {
            return Err(error);
        }
        self.0 += 1;
        sleep(PAUSE).await;
        Ok(())
    }
}
