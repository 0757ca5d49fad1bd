//! What a writer has handed to the event loop, and how much of it waits.

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::task::AtomicWaker;
use snapline_core::{CheckpointId, Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// How much may wait for the server before the task of the writer does.
const ROOM: usize = 4 * 1024 * 1024;

/// What the event loop is to do for a writer, in order.
pub(crate) enum Command<P> {
    /// Write these rows.
    Rows(Bytes),
    /// Make all rows since the last of these durable, and name them.
    Prepare(CheckpointId, oneshot::Sender<Result<Option<P>>>),
}

/// Both ends of a writer's way to the server.
pub(crate) fn stream<P>() -> (Sender<P>, Receiver<P>) {
    let (sender, receiver) = mpsc::unbounded();
    let load = Arc::new(Load::default());
    (
        Sender {
            commands: sender,
            load: load.clone(),
        },
        Receiver {
            commands: receiver,
            load,
        },
    )
}

#[derive(Default)]
struct Load {
    bytes: AtomicUsize,
    writer: AtomicWaker,
    failure: OnceLock<Error>,
}

/// The end of the task.
pub(crate) struct Sender<P> {
    commands: mpsc::UnboundedSender<Command<P>>,
    load: Arc<Load>,
}

impl<P> Sender<P> {
    /// Ready when little enough waits, or when it will never be written.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.load.writer.register(cx.waker());
        self.check()?;
        match self.load.bytes.load(Ordering::Acquire) < ROOM {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    pub(crate) fn rows(&self, rows: Bytes) -> Result<()> {
        self.check()?;
        self.load.bytes.fetch_add(rows.len(), Ordering::AcqRel);
        self.send(Command::Rows(rows))
    }

    /// What the event loop has made of the rows so far.
    pub(crate) fn prepare(
        &self,
        checkpoint: CheckpointId,
    ) -> Result<impl Future<Output = Result<Option<P>>> + Send + use<P>>
    where
        P: Send,
    {
        self.check()?;
        let (sender, prepared) = oneshot::channel();
        self.send(Command::Prepare(checkpoint, sender))?;
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

    fn send(&self, command: Command<P>) -> Result<()> {
        let sent = self.commands.unbounded_send(command);
        sent.map_err(|_| self.load.failure.get().cloned().unwrap_or_else(ended))
    }
}

/// The end of the event loop.
pub(crate) struct Receiver<P> {
    commands: mpsc::UnboundedReceiver<Command<P>>,
    load: Arc<Load>,
}

impl<P> Receiver<P> {
    /// The next command; `None` when the writer is gone.
    pub(crate) async fn next(&mut self) -> Option<Command<P>> {
        futures::StreamExt::next(&mut self.commands).await
    }

    /// Rows are on their way, and others may come.
    pub(crate) fn written(&self, bytes: usize) {
        self.load.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.load.writer.wake();
    }

    /// Nothing more will be written.
    pub(crate) fn fail(&self, error: Error) {
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
        let (sender, mut receiver) = stream::<()>();
        let is_ready = || poll_fn(|cx| sender.poll_ready(cx)).now_or_never().is_some();
        sender.rows(vec![0; ROOM - 1].into()).unwrap();
        assert!(is_ready());
        sender.rows(vec![0; 1].into()).unwrap();
        assert!(!is_ready());
        let Some(Command::Rows(rows)) = block_on(receiver.next()) else {
            panic!("the rows are not there");
        };
        receiver.written(rows.len());
        assert!(is_ready());
    }

    #[test]
    fn a_failure_is_told_by_every_call() {
        let (sender, receiver) = stream::<()>();
        let preparing = sender.prepare(CheckpointId(1)).unwrap();
        receiver.fail(Error::unavailable("the server is away"));
        drop(receiver);
        let message = "the server is away";
        assert_eq!(block_on(preparing).unwrap_err().message(), message);
        assert_eq!(sender.rows(Bytes::new()).unwrap_err().message(), message);
        assert_eq!(
            block_on(poll_fn(|cx| sender.poll_ready(cx)))
                .unwrap_err()
                .message(),
            message
        );
    }
}
