//! Finds the partitions to read, and sees whether restored ones can still be read.

use super::{Extent, KafkaSplit, KafkaStart, Options};
use crate::client::{Isolation, KafkaClient, OffsetAt, TopicPartition};
use crate::connection::KafkaConnection;
use crate::runtime;
use async_trait::async_trait;
use futures::FutureExt;
use snapline_connector::{DiscoveredSplits, DiscoveryContext, SeenSplits, SplitEnumerator};
use snapline_core::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Looks at the topics of one source.
pub(super) struct KafkaEnumerator {
    connection: KafkaConnection,
    options: Options,
    client: Option<Arc<dyn KafkaClient>>,
}

impl KafkaEnumerator {
    pub(super) fn new(connection: KafkaConnection, options: Options) -> Self {
        Self {
            connection,
            options,
            client: None,
        }
    }

    async fn client(&mut self) -> Result<Arc<dyn KafkaClient>> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let connection = self.connection.clone();
        let client = runtime::run(async move { connection.connect().await }).await?;
        Ok(self.client.insert(client).clone())
    }
}

#[async_trait]
impl SplitEnumerator<KafkaSplit> for KafkaEnumerator {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<KafkaSplit>> {
        let mut nothing = SeenSplits::default();
        Ok(self.discover_new(context, &mut nothing).await?.splits)
    }

    async fn discover_new(
        &mut self,
        _: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<KafkaSplit>> {
        let (client, mut options) = (self.client().await?, self.options.clone());
        if !seen.is_empty() {
            // What is in a partition that was added came after the job began.
            options.start = KafkaStart::Earliest;
        }
        let known = seen.clone();
        let new = runtime::run(async move { discover(&*client, &options, &known).await }).await?;
        let grows = self.options.discovery_interval().is_some();
        let splits = new
            .into_iter()
            .filter(|split| seen.insert(name(&split.partition)));
        let splits = splits.filter(|split| !split.is_finished()).collect();
        Ok(if grows {
            DiscoveredSplits::so_far(splits)
        } else {
            DiscoveredSplits::last(splits)
        })
    }

    async fn verify(&mut self, restored: &[KafkaSplit]) -> Result<()> {
        let (client, options) = (self.client().await?, self.options.clone());
        let restored = restored.to_vec();
        runtime::run(async move { verify_all(&*client, &restored, &options).await }).await
    }
}

/// What no two partitions share.
fn name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The partitions that were not seen before.
async fn discover(client: &dyn KafkaClient, options: &Options, seen: &SeenSplits) -> Result<Vec<KafkaSplit>> {
    let mut found = partitions(client, &options.topics).await?;
    if let KafkaStart::Offsets(offsets) = &options.start {
        check_offsets(client, offsets.iter(), &found).await?;
    }
    found.retain(|partition| !seen.contains(name(partition)));
    let splits = found
        .into_iter()
        .map(|partition| split(client, partition, options).boxed());
    runtime::some_at_a_time(splits.collect()).await
}

async fn verify_all(client: &dyn KafkaClient, restored: &[KafkaSplit], options: &Options) -> Result<()> {
    if let Some(other) = restored
        .iter()
        .find(|split| !options.topics.contains(&split.partition.topic))
    {
        return Err(Error::invalid(
            "the checkpoint was taken while another topic was read; read that one again, or start over",
        )
        .with("topic of the checkpoint", &other.partition.topic)
        .with("topics", options.topics.join(", ")));
    }
    let found = partitions(client, &options.topics).await?;
    if let Some(gone) = restored.iter().find(|split| !found.contains(&split.partition)) {
        return Err(vanished(&gone.partition));
    }
    let verified = restored.iter().map(|split| verify(client, split).boxed());
    runtime::some_at_a_time(verified.collect()).await?;
    Ok(())
}

async fn partitions(client: &dyn KafkaClient, topics: &[String]) -> Result<BTreeSet<TopicPartition>> {
    let mut found = BTreeSet::new();
    for topic in topics {
        let partitions = client.partitions(topic).await;
        let partitions = partitions.map_err(|error| error.with("topic", topic))?;
        found.extend(
            partitions
                .into_iter()
                .map(|number| TopicPartition::new(topic, number)),
        );
    }
    Ok(found)
}

async fn split(client: &dyn KafkaClient, partition: TopicPartition, options: &Options) -> Result<KafkaSplit> {
    let end = match options.extent {
        Extent::Bounded => Some(known(client, &partition, OffsetAt::Latest, options.isolation).await?),
        Extent::Unbounded => None,
    };
    let next = match &options.start {
        KafkaStart::Earliest => known(client, &partition, OffsetAt::Earliest, options.isolation).await?,
        KafkaStart::Latest => known(client, &partition, OffsetAt::Latest, options.isolation).await?,
        KafkaStart::Timestamp(timestamp) => {
            known(
                client,
                &partition,
                OffsetAt::Timestamp(*timestamp),
                options.isolation,
            )
            .await?
        }
        KafkaStart::Offsets(offsets) => match offsets.get(&partition) {
            Some(offset) => *offset,
            None => known(client, &partition, OffsetAt::Earliest, options.isolation).await?,
        },
    };
    Ok(KafkaSplit { partition, next, end })
}

/// A position; behind the last record when no record is so new.
async fn known(
    client: &dyn KafkaClient,
    partition: &TopicPartition,
    at: OffsetAt,
    isolation: Isolation,
) -> Result<i64> {
    match client.offset(partition, at, isolation).await? {
        Some(offset) => Ok(offset),
        None => Ok(client
            .offset(partition, OffsetAt::Latest, isolation)
            .await?
            .unwrap_or(0)),
    }
}

async fn check_offsets(
    client: &dyn KafkaClient,
    given: impl Iterator<Item = (&TopicPartition, &i64)> + Send,
    found: &BTreeSet<TopicPartition>,
) -> Result<()> {
    for (partition, offset) in given {
        if !found.contains(partition) {
            return Err(Error::invalid(
                "an offset to start at is given for a partition that the topics of the source do not have",
            )
            .with("partition", partition));
        }
        let (first, end) = range(client, partition).await?;
        if !(first..=end).contains(offset) {
            return Err(
                Error::invalid("an offset to start at is outside of its partition")
                    .with("partition", partition)
                    .with("given", offset)
                    .with("first", first)
                    .with("end", end),
            );
        }
    }
    Ok(())
}

async fn verify(client: &dyn KafkaClient, split: &KafkaSplit) -> Result<()> {
    let (first, end) = range(client, &split.partition).await?;
    if split.next < first {
        return Err(Error::invalid(
            "records that were not read yet are gone from the topic: its retention is shorter than the job was away; \
             start over with what is there, and raise the retention",
        )
        .with("partition", &split.partition)
        .with("next offset", split.next)
        .with("first offset", first));
    }
    if split.next > end {
        return Err(Error::invalid(
            "a partition ends before the record that is to be read next: the topic was made anew, or has lost \
             records; start over",
        )
        .with("partition", &split.partition)
        .with("next offset", split.next)
        .with("end", end));
    }
    Ok(())
}

/// The first offset of a partition and the one behind its last record, whoever has written it.
async fn range(client: &dyn KafkaClient, partition: &TopicPartition) -> Result<(i64, i64)> {
    let isolation = Isolation::ReadUncommitted;
    let first = known(client, partition, OffsetAt::Earliest, isolation).await?;
    Ok((
        first,
        known(client, partition, OffsetAt::Latest, isolation).await?,
    ))
}

/// A partition of the job is gone.
pub(super) fn vanished(partition: &TopicPartition) -> Error {
    Error::invalid(
        "a partition that is read does not exist any more; if its topic was made anew, start over, otherwise bring \
         it back",
    )
    .with("partition", partition)
}
