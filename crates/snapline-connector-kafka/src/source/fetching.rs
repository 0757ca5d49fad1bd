//! Fetches ahead of the reader, beside its task.

use super::enumerator::vanished;
use crate::client::{Isolation, KafkaClient, KafkaFetcher, KafkaRecord, TopicPartition};
use crate::connection::KafkaConnection;
use crate::runtime::{self, Task};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use snapline_core::{ErrorKind, Result};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::sleep;

/// How many fetches may wait for the reader.
const AHEAD: usize = 2;

/// How often a fetch is tried again while the cluster does not answer.
const TRIES: u32 = 60;

/// How long to wait before a fetch is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// After how many fetches without records to look whether the partitions are still there.
const CHECK_AFTER: u32 = 40;

/// What one fetch has brought of one split.
pub(super) struct Fetched {
    /// Which split, by its position in the order in which they were given.
    pub(super) split: usize,
    pub(super) records: Vec<KafkaRecord>,
    /// Up to where everything has come with this and what was before.
    pub(super) position: Option<i64>,
}

enum Order {
    Pause(Vec<usize>),
    Commit(Vec<(TopicPartition, i64)>),
}

/// A fetcher at work. It stops when it is dropped.
pub(super) struct Fetching {
    fetched: mpsc::Receiver<Result<Vec<Fetched>>>,
    orders: mpsc::UnboundedSender<Order>,
    _task: Task<()>,
}

impl Fetching {
    /// Fetches from these positions on.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no thread.
    pub(super) fn start(
        connection: KafkaConnection,
        from: Vec<(TopicPartition, i64)>,
        isolation: Isolation,
        group: Option<String>,
    ) -> Result<Self> {
        let (sender, fetched) = mpsc::channel(AHEAD);
        let (orders, received) = mpsc::unbounded();
        let task = runtime::spawn(async move {
            let mut sender = sender;
            let work = async {
                let mut worker = Worker::open(connection, from, isolation, group).await?;
                worker.run(received, &mut sender).await
            };
            if let Err(error) = work.await {
                // Nobody is there to be told when the reader was dropped.
                let _ = sender.send(Err(error)).await;
            }
        })?;
        Ok(Self {
            fetched,
            orders,
            _task: task,
        })
    }

    /// What was fetched; `None` after an error.
    pub(super) fn poll_fetched(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Fetched>>>> {
        self.fetched.poll_next_unpin(cx)
    }

    /// From now on fetches none of these splits, and all others.
    pub(super) fn pause(&self, splits: Vec<usize>) {
        let _ = self.orders.unbounded_send(Order::Pause(splits));
    }

    /// Sets offsets of the consumer group.
    pub(super) fn commit(&self, offsets: Vec<(TopicPartition, i64)>) {
        let _ = self.orders.unbounded_send(Order::Commit(offsets));
    }
}

struct Worker {
    client: Arc<dyn KafkaClient>,
    fetcher: Box<dyn KafkaFetcher>,
    partitions: Vec<TopicPartition>,
    group: Option<String>,
    failures: u32,
    without_records: u32,
}

impl Worker {
    async fn open(
        connection: KafkaConnection,
        from: Vec<(TopicPartition, i64)>,
        isolation: Isolation,
        group: Option<String>,
    ) -> Result<Self> {
        let client = connection.connect().await?;
        let partitions = from.iter().map(|(partition, _)| partition.clone()).collect();
        Ok(Self {
            fetcher: client.fetcher(from, isolation).await?,
            client,
            partitions,
            group,
            failures: 0,
            without_records: 0,
        })
    }

    async fn run(
        &mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        sender: &mut mpsc::Sender<Result<Vec<Fetched>>>,
    ) -> Result<()> {
        loop {
            let fetched = tokio::select! {
                biased;
                order = orders.next() => {
                    let Some(order) = order else { return Ok(()) };
                    self.follow(order).await;
                    continue;
                }
                fetched = self.fetcher.fetch() => fetched,
            };
            let Some(records) = self.forgive(fetched).await? else {
                continue;
            };
            self.check_partitions(records.is_empty()).await?;
            let fetched = self.by_split(records).await;
            if sender.send(Ok(fetched)).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn follow(&mut self, order: Order) {
        match order {
            Order::Pause(splits) => {
                let paused = splits
                    .iter()
                    .filter_map(|split| self.partitions.get(*split).cloned());
                self.fetcher.pause(&paused.collect::<Vec<_>>()).await;
            }
            Order::Commit(offsets) => {
                let Some(group) = &self.group else { return };
                if let Err(error) = self.client.set_group_offsets(group, &offsets).await {
                    tracing::warn!(%error, group, "the offsets of the group are not up to date; the job does not need them");
                }
            }
        }
    }

    /// A cluster that does not answer is asked again for a while.
    async fn forgive(&mut self, fetched: Result<Vec<KafkaRecord>>) -> Result<Option<Vec<KafkaRecord>>> {
        match fetched {
            Ok(records) => {
                self.failures = 0;
                Ok(Some(records))
            }
            Err(error) if error.kind() == ErrorKind::Unavailable && self.failures < TRIES => {
                if self.failures == 0 {
                    tracing::warn!(%error, "nothing can be read from kafka; trying again");
                }
                self.failures += 1;
                sleep(PAUSE).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The client waits for a partition that is gone as it does for one without records.
    async fn check_partitions(&mut self, without_records: bool) -> Result<()> {
        self.without_records = if without_records {
            self.without_records + 1
        } else {
            0
        };
        if self.without_records < CHECK_AFTER {
            return Ok(());
        }
        self.without_records = 0;
        for partition in &self.partitions {
            match self.client.partitions(&partition.topic).await {
                Ok(there) if there.contains(&partition.partition) => {}
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                Ok(_) => return Err(vanished(partition)),
                Err(error) => return Err(error.with("partition", partition)),
            }
        }
        Ok(())
    }

    /// Records come in runs of one partition.
    async fn by_split(&mut self, records: Vec<KafkaRecord>) -> Vec<Fetched> {
        let mut by_split: Vec<Vec<KafkaRecord>> = self.partitions.iter().map(|_| Vec::new()).collect();
        let mut at = 0;
        for record in records {
            if !self
                .partitions
                .get(at)
                .is_some_and(|partition| is_of(partition, &record))
            {
                let found = self
                    .partitions
                    .iter()
                    .position(|partition| is_of(partition, &record));
                let Some(found) = found else { continue };
                at = found;
            }
            by_split[at].push(record);
        }
        let mut fetched = Vec::with_capacity(by_split.len());
        for (split, records) in by_split.into_iter().enumerate() {
            let position = self.fetcher.position(&self.partitions[split]).await;
            fetched.push(Fetched {
                split,
                records,
                position,
            });
        }
        fetched
    }
}

fn is_of(partition: &TopicPartition, record: &KafkaRecord) -> bool {
    partition.partition == record.partition && *partition.topic == *record.topic
}
