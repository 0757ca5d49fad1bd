//! What a writer has handed to an event loop, and how much of it waits.

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::task::AtomicWaker;
use snapline_core::{CheckpointId, Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// How much may wait for the server before the task of the writer does.
const ROOM: usize = 4 * 1024 * 1024;

/// What an [`EventLoop`](crate::EventLoop) is to do for a writer, in order.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "who takes orders must know them all")]
pub enum OutboxOrder<P> {
    /// Write these encoded records.
    Write(Bytes),
    /// Make all records since the last of these durable, and name them; `None` when there are none.
    Prepare(CheckpointId, oneshot::Sender<Result<Option<P>>>),
}

/// Both ends of a writer's way to a server: that of its task, and that of the event loop.
pub fn outbox<P>() -> (Outbox<P>, OutboxOrders<P>) {
    let (sender, receiver) = mpsc::unbounded();
    let load = Arc::new(Load::default());
    (
        Outbox {
            orders: sender,
            load: load.clone(),
        },
        OutboxOrders {
            orders: receiver,
            load,
        },
    )
}

#[derive(Debug, Default)]
struct Load {
    bytes: AtomicUsize,
    writer: AtomicWaker,
    failure: OnceLock<Error>,
}

/// The end of the task. After a failure, every call tells it.
#[derive(Debug)]
pub struct Outbox<P> {
    orders: mpsc::UnboundedSender<OutboxOrder<P>>,
    load: Arc<Load>,
}

impl<P> Outbox<P> {
    /// Ready when less than four megabytes wait, or when they will never be written.
    ///
    /// # Errors
    /// Why nothing more is written.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.load.writer.register(cx.waker());
        self.check()?;
        match self.load.bytes.load(Ordering::Acquire) < ROOM {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Hands over encoded records.
    ///
    /// # Errors
    /// Why nothing more is written.
    pub fn write(&self, records: Bytes) -> Result<()> {
        self.check()?;
        self.load.bytes.fetch_add(records.len(), Ordering::AcqRel);
        self.send(OutboxOrder::Write(records))
    }

    /// What the event loop has made of the records so far.
    ///
    /// # Errors
    /// Why nothing more is written.
    pub fn prepare(
        &self,
        checkpoint: CheckpointId,
    ) -> Result<impl Future<Output = Result<Option<P>>> + Send + use<P>>
    where
        P: Send,
    {
        self.check()?;
        let (sender, prepared) = oneshot::channel();
        self.send(OutboxOrder::Prepare(checkpoint, sender))?;
        let load = self.load.clone();
        Ok(async move {
            match prepared.await {
                Ok(prepared) => prepared,
                Err(oneshot::Canceled) => Err(load.failure.get().cloned().unwrap_or_else(ended)),
            }
        })
    }

    fn check(&self) -> Result<()> {
        self.load
            .failure
            .get()
            .map_or(Ok(()), |failure| Err(failure.clone()))
    }

    fn send(&self, command: OutboxOrder<P>) -> Result<()> {
        let sent = self.orders.unbounded_send(command);
        sent.map_err(|_| self.load.failure.get().cloned().unwrap_or_else(ended))
    }
}

/// The end of the event loop.
#[derive(Debug)]
pub struct OutboxOrders<P> {
    orders: mpsc::UnboundedReceiver<OutboxOrder<P>>,
    load: Arc<Load>,
}

impl<P> OutboxOrders<P> {
    /// The next order; `None` when the writer is gone.
    pub async fn next(&mut self) -> Option<OutboxOrder<P>> {
        futures::StreamExt::next(&mut self.orders).await
    }

    /// So many bytes are on their way, and others may come.
    pub fn written(&self, bytes: usize) {
        self.load.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.load.writer.wake();
    }

    /// Nothing more will be written, for this reason.
    pub fn fail(&self, error: Error) {
        let _ = self.load.failure.set(error);
        self.load.writer.wake();
    }
}

fn ended() -> Error {
    Error::cancelled("the thread that talks to the server has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::future::poll_fn;

    #[test]
    fn a_writer_waits_while_much_is_on_its_way() {
        let (sender, mut receiver) = outbox::<()>();
        let is_ready = || poll_fn(|cx| sender.poll_ready(cx)).now_or_never().is_some();
        sender.write(vec![0; ROOM - 1].into()).unwrap();
        assert!(is_ready());
        sender.write(vec![0; 1].into()).unwrap();
        assert!(!is_ready());
        let Some(OutboxOrder::Write(rows)) = block_on(receiver.next()) else {
            panic!("the rows are not there");
        };
        receiver.written(rows.len());
        assert!(is_ready());
    }

    #[test]
    fn a_failure_is_told_by_every_call() {
        let (sender, receiver) = outbox::<()>();
        let preparing = sender.prepare(CheckpointId(1)).unwrap();
        receiver.fail(Error::unavailable("the server is away"));
        drop(receiver);
        let message = "the server is away";
        assert_eq!(block_on(preparing).unwrap_err().message(), message);
        assert_eq!(sender.write(Bytes::new()).unwrap_err().message(), message);
        assert_eq!(
            block_on(poll_fn(|cx| sender.poll_ready(cx)))
                .unwrap_err()
                .message(),
            message
        );
    }
}
