//! Where snapshots live.

use crate::local_copies::LocalCopies;
use crate::storage_key::StorageKey;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use snapline_core::Result;
use std::ops::Range;

/// The content of an object in pieces, in order.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// A durable place for snapshots: a directory, a bucket, or memory in tests.
///
/// # Contract
/// * `create` is atomic: of any number of racing writers exactly one is told [`Created::New`], and a
///   reader sees either nothing or all of its bytes.
/// * `create` with bytes equal to those stored answers [`Created::New`]: a retry is a success.
/// * When `create` or `put` returns `Ok`, the object survives a crash of the machine.
/// * An object is visible to `get` and `list` as soon as the call that wrote it has returned.
/// * A `put` that fails, is dropped, or is cut off by a crash leaves no part of an object visible: none or all of it.
/// * `put` replaces an object of the same key as a whole.
/// * `put` holds a bounded part of the content in memory.
/// * `get` of a missing key is `Ok(None)`; a range that reaches past the end is cut at the end.
/// * `list` is ordered by the bytes of the key.
/// * `delete` of a missing key is a success.
/// * Errors are `Unavailable` when the same call may succeed later, `Corrupted` when stored bytes
///   are not what was written.
///
/// # Not promised
/// Operations that span keys; an order between calls that overlap; a date of change; an object whose key is
/// the beginning of another's path (`a` beside `a/b`).
#[async_trait]
pub trait CheckpointStorage: Send + Sync + std::fmt::Debug + 'static {
    /// What this storage can do, as data.
    fn capability(&self) -> StorageCapability;

    /// A name for messages: a path or URL.
    fn location(&self) -> String;

    /// Stores `bytes` under `key` unless the key is taken.
    ///
    /// # Errors
    /// `Unavailable` when the outcome is unknown or nothing was stored: call again with the same bytes.
    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created>;

    /// Stores the content of a stream under `key`.
    ///
    /// # Errors
    /// The first error of the stream, or `Unavailable`; then nothing is visible.
    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored>;

    /// The bytes of an object, or of a part of it; `None` when there is no such object.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupted` when the storage itself notices damage.
    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>>;

    /// All keys that start with `prefix` and come after `after`, ordered.
    ///
    /// The prefix is plain text: `job/epoch/` lists a folder.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>>;

    /// Removes objects; those that do not exist are passed over.
    ///
    /// # Errors
    /// `Unavailable`; some of the objects may be gone.
    async fn delete(&self, keys: &[StorageKey]) -> Result<()>;

    /// What this process keeps in memory of what it writes. A storage keeps nothing unless it says otherwise, and one
    /// that passes on to another need not pass this on.
    fn local_copies(&self) -> Option<&LocalCopies> {
        None
    }
}

/// The outcome of [`CheckpointStorage::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a caller must treat both outcomes")]
pub enum Created {
    /// The object is stored, by this call or by an earlier one with the same bytes.
    New,
    /// Another writer was first; these are its bytes.
    AlreadyExists(Bytes),
}

/// What [`CheckpointStorage::put`] has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The length in bytes.
    pub len: u64,
    /// crc32c of the content.
    pub checksum: u32,
}

/// The limits of a [`CheckpointStorage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageCapability {
    /// Whether `create` decides races between processes. Without it only one process may use the storage.
    pub conditional_create: bool,
    /// Whether `get` of a range reads only that range.
    pub range_read: bool,
    /// Whether objects survive the end of the process.
    pub durable: bool,
    /// The longest object in bytes.
    pub max_object_len: u64,
}

impl StorageCapability {
    /// Everything the contract asks for, without a limit of length.
    pub const FULL: Self = Self {
        conditional_create: true,
        range_read: true,
        durable: true,
        max_object_len: u64::MAX,
    };

    /// The same, but lost when the process ends.
    #[must_use]
    pub const fn volatile(self) -> Self {
        Self {
            durable: false,
            ..self
        }
    }

    /// The same for one process at a time.
    #[must_use]
    pub const fn single_process(self) -> Self {
        Self {
            conditional_create: false,
            ..self
        }
    }

    /// The same with objects up to this length.
    #[must_use]
    pub const fn limited_to(self, max_object_len: u64) -> Self {
        Self {
            max_object_len,
            ..self
        }
    }
}
