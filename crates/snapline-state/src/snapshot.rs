//! The asynchronous half of a snapshot: from a frozen table to the storage.

use crate::format::block::copied::CopiedEntries;
use crate::format::block::open_block::OpenBlock;
use crate::format::block::recoder::Recoder;
use crate::handle::{HandleKind, StateHandle, StateLocation};
use crate::local_copies::Copying;
use crate::storage::CheckpointStorage;
use crate::storage_key::StorageKey;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::task::AtomicWaker;
use snapline_core::{Codec, Error, KeyGroupRange, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// A frozen state on its way to the storage.
///
/// # Contract
/// * It holds the state as it was when it was frozen, whatever happens to the state later.
/// * `persist` runs away from the task; the task goes on meanwhile.
/// * Dropping it gives the snapshot up; what it has stored already may stay behind under the
///   target's prefix, where nothing refers to it.
#[async_trait]
pub trait Snapshot: Send {
    /// Stores the state and says where it is.
    ///
    /// # Errors
    /// The storage's error; nothing may refer to what was stored.
    async fn persist(self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>>;
}

/// Where one subtask stores its part of one checkpoint.
#[derive(Debug, Clone)]
pub struct SnapshotTarget {
    storage: Arc<dyn CheckpointStorage>,
    prefix: StorageKey,
    codec: Codec,
}

impl SnapshotTarget {
    /// Up to this many bytes a piece of state is kept in the manifest itself.
    pub const INLINE_LIMIT: usize = 16 * 1024;

    /// Objects will be named `prefix` followed by `-` and a name. Nothing is compressed.
    pub fn new(storage: Arc<dyn CheckpointStorage>, prefix: StorageKey) -> Self {
        let codec = Codec::None;
        Self {
            storage,
            prefix,
            codec,
        }
    }

    /// The same, where the blocks of state files are compressed.
    #[must_use]
    pub fn compressed_by(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// The same, where no [copy in memory](crate::LocalCopies) is kept of what is written: for a backend that has its
    /// state at hand after a failure anyway, or whose state is larger than memory.
    #[must_use]
    pub fn without_local_copies(self) -> Self {
        let storage = match self.storage.local_copies() {
            Some(copies) => copies.copied(),
            None => self.storage,
        };
        Self { storage, ..self }
    }

    /// Stores what a [`crate::BlockWriter`] writes as one object, or inline when it is short, compressed as the
    /// job wants it. A [copy in memory](crate::LocalCopies) stays as it was written.
    ///
    /// # Errors
    /// What the writer failed with, or the storage; `Unsupported` as [`crate::check_codec`].
    pub async fn write_blocks(
        &self,
        name: &str,
        blocks: BlockReceiver,
        kind: HandleKind,
        key_groups: Option<KeyGroupRange>,
    ) -> Result<StateHandle> {
        let key = self.key(name)?;
        let mut recoder = Recoder::to(self.codec)?;
        let copying = self
            .storage
            .local_copies()
            .and_then(|copies| copies.copy_of(&key));
        let storage = copying.as_ref().map_or(&*self.storage, Copying::storage);
        let kept = copying.clone();
        let recoded = blocks.map(move |block| {
            let block = block?;
            if let Some(kept) = &kept {
                kept.push(block.clone());
            }
            recoder.recode(block)
        });
        let handle = put(storage, key, recoded.boxed(), kind, key_groups).await?;
        if let (Some(copies), Some(copying)) = (self.storage.local_copies(), copying) {
            copies.keep(&handle, &copying);
        }
        Ok(handle)
    }

    /// Stores a stream of pieces as one object, or inline when it ends early.
    ///
    /// # Errors
    /// The first error of the stream or of the storage.
    pub async fn write(
        &self,
        name: &str,
        content: crate::ByteStream,
        kind: HandleKind,
        key_groups: Option<KeyGroupRange>,
    ) -> Result<StateHandle> {
        put(&*self.storage, self.key(name)?, content, kind, key_groups).await
    }

    /// Stores bytes that are all there.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn write_bytes(&self, name: &str, bytes: Bytes, kind: HandleKind) -> Result<StateHandle> {
        self.write(name, futures::stream::iter([Ok(bytes)]).boxed(), kind, None)
            .await
    }

    fn key(&self, name: &str) -> Result<StorageKey> {
        StorageKey::new(format!("{}-{name}", self.prefix))
    }
}

async fn put(
    storage: &dyn CheckpointStorage,
    key: StorageKey,
    mut content: crate::ByteStream,
    kind: HandleKind,
    key_groups: Option<KeyGroupRange>,
) -> Result<StateHandle> {
    let mut head = Vec::new();
    while head.len() <= SnapshotTarget::INLINE_LIMIT {
        match content.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => return Ok(StateHandle::inline(head.into(), kind, key_groups)),
        }
    }
    let content = futures::stream::iter([Ok(Bytes::from(head))])
        .chain(content)
        .boxed();
    let stored = storage.put(&key, content).await?;
    Ok(StateHandle {
        location: StateLocation::File { key, offset: 0 },
        len: stored.len,
        checksum: stored.checksum,
        key_groups,
        kind,
    })
}

/// How many bytes of finished blocks may wait for the storage before a table stops encoding.
const WINDOW: usize = 4 * 1024 * 1024;

/// A channel for encoded blocks from the task that owns a table to the snapshot that stores them.
///
/// Sending never waits; [`BlockSender::poll_room`] tells when it is polite to send more.
pub fn block_channel() -> (BlockSender, BlockReceiver) {
    block_channel_with_room(WINDOW)
}

/// The same, where it is polite to send more while less than so many bytes wait.
pub fn block_channel_with_room(bytes: usize) -> (BlockSender, BlockReceiver) {
    let (sender, receiver) = mpsc::unbounded();
    let waiting = Arc::new(Waiting {
        bytes: AtomicUsize::new(0),
        room: bytes,
        task: AtomicWaker::new(),
    });
    (
        BlockSender {
            sender,
            waiting: waiting.clone(),
        },
        BlockReceiver {
            receiver,
            waiting,
            open: OpenBlock::new(),
            next: None,
            ended: false,
        },
    )
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    Copies(CopiedEntries),
    End,
    Failed(Error),
}

#[derive(Debug)]
struct Waiting {
    bytes: AtomicUsize,
    /// How many there may be.
    room: usize,
    task: AtomicWaker,
}

/// The task's end of a [`block_channel`].
#[derive(Debug)]
pub struct BlockSender {
    sender: mpsc::UnboundedSender<Piece>,
    waiting: Arc<Waiting>,
}

impl BlockSender {
    /// Sends a piece; lost when the snapshot was given up.
    pub fn send(&self, piece: Bytes) {
        self.waiting.bytes.fetch_add(piece.len(), Ordering::Relaxed);
        let _ = self.sender.unbounded_send(Piece::Bytes(piece));
    }

    /// Sends entries that are yet to be encoded; lost when the snapshot was given up.
    pub(crate) fn send_copies(&self, entries: CopiedEntries) {
        self.waiting.bytes.fetch_add(entries.bytes(), Ordering::Relaxed);
        let _ = self.sender.unbounded_send(Piece::Copies(entries));
    }

    /// Says that the snapshot is whole. Without it the receiver ends with an error.
    pub fn finish(self) {
        let _ = self.sender.unbounded_send(Piece::End);
    }

    /// Says why the snapshot cannot become whole. The receiver ends with this error.
    pub fn fail(self, error: Error) {
        let _ = self.sender.unbounded_send(Piece::Failed(error));
    }

    /// Whether the snapshot was given up, so that nobody will read what is sent.
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ready while less than a few megabytes wait for the storage, or as many as the channel was made for.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let has_room =
            || self.waiting.bytes.load(Ordering::Relaxed) < self.waiting.room || self.is_abandoned();
        if has_room() {
            return Poll::Ready(());
        }
        self.waiting.task.register(cx.waker());
        if has_room() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// The snapshot's end of a [`block_channel`]: a stream of pieces. What the task has only copied is encoded here.
#[derive(Debug)]
pub struct BlockReceiver {
    receiver: mpsc::UnboundedReceiver<Piece>,
    waiting: Arc<Waiting>,
    /// What has been encoded here.
    open: OpenBlock,
    /// What was received, but comes behind the open block.
    next: Option<Piece>,
    ended: bool,
}

impl BlockReceiver {
    /// What comes out for a piece, if anything does yet; `None` in it at the end.
    fn receive(&mut self, piece: Option<Piece>) -> Option<Option<Result<Bytes>>> {
        let before = match &piece {
            Some(Piece::Copies(entries)) => self.open.take_all_but_entries_of(entries.table()),
            Some(Piece::Bytes(_) | Piece::End) => self.open.take(),
            Some(Piece::Failed(_)) | None => None,
        };
        if let Some(block) = before {
            self.next = piece;
            return Some(Some(Ok(block)));
        }
        match piece {
            Some(Piece::Copies(entries)) => return self.encode(entries).map(Some),
            Some(Piece::Bytes(piece)) => {
                self.make_room(piece.len());
                return Some(Some(Ok(piece)));
            }
            _ => self.ended = true,
        }
        Some(match piece {
            Some(Piece::Failed(error)) => Some(Err(error)),
            Some(_) => None,
            None => Some(Err(Error::cancelled(
                "the task ended before its snapshot was whole",
            ))),
        })
    }

    /// Encodes entries; the block that they are in, if it is long enough.
    fn encode(&mut self, entries: CopiedEntries) -> Option<Result<Bytes>> {
        let bytes = entries.bytes();
        let outcome = entries.encode(&mut self.open);
        self.make_room(bytes);
        self.ended = outcome.is_err();
        match outcome {
            Ok(()) => self.open.take_long().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }

    fn make_room(&self, bytes: usize) {
        self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting.task.wake();
    }
}

impl futures::Stream for BlockReceiver {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let piece = match self.next.take() {
                Some(piece) => Some(piece),
                None => match self.receiver.poll_next_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(piece) => piece,
                },
            };
            if let Some(out) = self.receive(piece) {
                return Poll::Ready(out);
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for BlockReceiver {
    fn drop(&mut self) {
        self.receiver.close();
        self.waiting.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn a_snapshot_that_its_task_does_not_finish_is_an_error() {
        let (sender, mut receiver) = block_channel();
        sender.send(Bytes::from_static(b"x"));
        drop(sender);
        assert_eq!(block_on(receiver.next()).unwrap().unwrap(), "x");
        assert!(block_on(receiver.next()).unwrap().is_err());
        assert!(block_on(receiver.next()).is_none());
    }

    #[test]
    fn a_sender_waits_for_a_slow_storage_and_is_woken() {
        let (sender, mut receiver) = block_channel();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(sender.poll_room(&mut cx).is_ready());
        sender.send(Bytes::from(vec![0; WINDOW]));
        assert!(sender.poll_room(&mut cx).is_pending());
        block_on(receiver.next()).unwrap().unwrap();
        assert!(sender.poll_room(&mut cx).is_ready());
        sender.send(Bytes::from(vec![0; WINDOW]));
        drop(receiver);
        assert!(sender.is_abandoned() && sender.poll_room(&mut cx).is_ready());
    }
}
