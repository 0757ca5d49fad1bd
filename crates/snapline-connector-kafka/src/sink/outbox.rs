//! What a writer passes on to its sender, and how it learns that there is room, or that sending has failed.

use super::KafkaCommittable;
use crate::client::NewRecord;
use crate::runtime::Task;
use futures::FutureExt;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use snapline_core::{CheckpointId, Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// How many records may wait to be sent before a writer has to wait.
const ROOM: usize = 64 * 1024;

/// What a sender is to do, in order.
pub(super) enum Order {
    Send(Vec<NewRecord>),
    Prepare(CheckpointId, oneshot::Sender<Result<Vec<KafkaCommittable>>>),
}

/// What writer and sender both see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    waiting: AtomicUsize,
    writer: AtomicWaker,
    failure: OnceLock<Error>,
}

impl Shared {
    /// So many records were passed to the client.
    pub(super) fn sent(&self, records: usize) {
        self.waiting.fetch_sub(records, Ordering::AcqRel);
        self.writer.wake();
    }

    /// Why the sender has ended.
    fn failure(&self) -> Error {
        let stopped = || Error::unavailable("the client of kafka has stopped");
        self.failure.get().cloned().unwrap_or_else(stopped)
    }

    /// Nothing can be sent any more.
    pub(super) fn fail(&self, error: Error) {
        let _ = self.failure.set(error);
        self.writer.wake();
    }
}

/// The writer's end. The sender stops when it is dropped.
pub(super) struct Outbox {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    _sender: Task<()>,
}

impl Outbox {
    pub(super) fn new(orders: mpsc::UnboundedSender<Order>, shared: Arc<Shared>, sender: Task<()>) -> Self {
        Self {
            orders,
            shared,
            _sender: sender,
        }
    }

    /// Ready when more may be sent.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.writer.register(cx.waker());
        if let Some(failure) = self.shared.failure.get() {
            return Poll::Ready(Err(failure.clone()));
        }
        if self.shared.waiting.load(Ordering::Acquire) < ROOM {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    pub(super) fn send(&self, records: Vec<NewRecord>) -> Result<()> {
        self.shared.waiting.fetch_add(records.len(), Ordering::AcqRel);
        self.order(Order::Send(records))
    }

    /// Pre-commits what was sent.
    pub(super) fn prepare(
        &self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<KafkaCommittable>>>> {
        let (prepared, receiver) = oneshot::channel();
        self.order(Order::Prepare(checkpoint, prepared))?;
        let shared = self.shared.clone();
        Ok(receiver
            .map(move |prepared| prepared.unwrap_or_else(|_| Err(shared.failure())))
            .boxed())
    }

    fn order(&self, order: Order) -> Result<()> {
        if let Some(failure) = self.shared.failure.get() {
            return Err(failure.clone());
        }
        self.orders
            .unbounded_send(order)
            .map_err(|_| self.shared.failure())
    }
}
