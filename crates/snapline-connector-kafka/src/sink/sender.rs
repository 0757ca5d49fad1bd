//! Sends what a writer has encoded, beside its task.

use super::ids::Ids;
use super::outbox::{Order, Outbox, Shared};
use super::registry::{self, Registration};
use super::slots::Slots;
use super::{Guarantee, KafkaCommittable, Options};
use crate::client::{KafkaClient, KafkaProducer, KafkaTransaction, NewRecord, Token};
use crate::runtime;
use futures::StreamExt;
use futures::channel::mpsc::{self, UnboundedReceiver};
use snapline_connector::WriterContext;
use snapline_core::{CheckpointId, Result};
use std::sync::Arc;
use tokio::task::yield_now;

/// Starts the sender of one writer.
///
/// # Errors
/// `Unavailable` when the system gives no thread.
pub(super) fn start(options: Options, slots: Arc<Slots>, context: WriterContext) -> Result<Outbox> {
    let (orders, received) = mpsc::unbounded();
    let shared = Arc::new(Shared::default());
    let told = shared.clone();
    let task = runtime::spawn(async move {
        let mut received = received;
        // Orders that are left are dropped after the failure is told, so that who waits for them finds it.
        if let Err(error) = run(options, slots, context, &mut received, &told).await {
            told.fail(error);
        }
    })?;
    Ok(Outbox::new(orders, shared, task))
}

/// Follows orders until there will be no more, or one fails: then all that was written since the last checkpoint is lost,
/// and the job has to restart.
async fn run(
    options: Options,
    slots: Arc<Slots>,
    context: WriterContext,
    orders: &mut UnboundedReceiver<Order>,
    shared: &Shared,
) -> Result<()> {
    let client = options.connection.connect().await?;
    let mut sender: Box<dyn Sender> = match options.guarantee {
        Guarantee::AtLeastOnce => Box::new(AtOnce(client.producer().await?)),
        Guarantee::ExactlyOnce => Box::new(InTransactions::new(client, options, slots, context)),
    };
    while let Some(order) = orders.next().await {
        match order {
            Order::Send(records) => {
                let count = records.len();
                sender.send(records).await?;
                shared.sent(count);
                // What the client has to do now is next on this thread, while this goes on on another.
                yield_now().await;
            }
            Order::Prepare(checkpoint, answer) => {
                let prepared = sender.prepare(checkpoint).await;
                let failure = prepared.as_ref().err().cloned();
                // Nobody waits any more when the checkpoint was given up together with its task.
                let _ = answer.send(prepared);
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
        }
    }
    Ok(())
}

/// What the two guarantees do differently.
#[async_trait::async_trait]
trait Sender: Send {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()>;
    async fn prepare(&mut self, checkpoint: CheckpointId) -> Result<Vec<KafkaCommittable>>;
}

/// Without transactions.
struct AtOnce(Box<dyn KafkaProducer>);

#[async_trait::async_trait]
impl Sender for AtOnce {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        self.0.send(records).await
    }

    async fn prepare(&mut self, _: CheckpointId) -> Result<Vec<KafkaCommittable>> {
        self.0.flush().await?;
        Ok(Vec::new())
    }
}

/// With one transaction for each checkpoint before which something was written.
struct InTransactions {
    client: Arc<dyn KafkaClient>,
    ids: Ids,
    options: Options,
    slots: Arc<Slots>,
    context: WriterContext,
    open: Option<(u32, Box<dyn KafkaTransaction>)>,
}

impl InTransactions {
    fn new(
        client: Arc<dyn KafkaClient>,
        options: Options,
        slots: Arc<Slots>,
        context: WriterContext,
    ) -> Self {
        Self {
            client,
            ids: Ids::new(&options.prefix, &context.job, &context.operator),
            options,
            slots,
            context,
            open: None,
        }
    }

    async fn begin(&mut self) -> Result<(u32, Box<dyn KafkaTransaction>)> {
        let subtask = self.context.subtask.0;
        let slot = self.slots.take(subtask);
        self.register(slot).await?;
        let id = self.ids.transaction(subtask, slot);
        Ok((slot, self.client.begin(&id, self.options.timeout).await?))
    }

    /// Sees that no newer attempt is at work, and that the next start will look at this slot.
    async fn register(&mut self, slot: u32) -> Result<()> {
        let _one_at_a_time = self.slots.registering().await;
        let (client, place) = (&*self.client, registry::place(&self.options));
        let registered = registry::read(client, &self.ids, &place).await?;
        registry::check_attempt(registered, self.context.attempt, &self.ids)?;
        let wanted = registered.max(Registration {
            attempt: self.context.attempt.0,
            subtasks: self.context.parallelism.max(self.context.subtask.0 + 1),
            slots: slot + 1,
        });
        if wanted != registered {
            registry::write(client, &self.ids, &place, wanted).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Sender for InTransactions {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin().await?,
        };
        open.1.send(records).await?;
        self.open = Some(open);
        Ok(())
    }

    async fn prepare(&mut self, checkpoint: CheckpointId) -> Result<Vec<KafkaCommittable>> {
        let Some((slot, transaction)) = self.open.take() else {
            return Ok(Vec::new());
        };
        let subtask = self.context.subtask.0;
        let token = Token {
            group: self.ids.transaction(subtask, slot),
            partition: registry::place(&self.options),
            offset: i64::try_from(checkpoint.0).unwrap_or(i64::MAX),
        };
        Ok(vec![KafkaCommittable {
            transaction: transaction.prepare(&token).await?,
            subtask,
            slot,
            checkpoint,
        }])
    }
}
