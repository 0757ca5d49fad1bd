//! The storage that is checked, and the few calls through which all cases reach it.

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

type Reopen = dyn Fn() -> Arc<dyn CheckpointStorage> + Send + Sync;

/// A storage without objects that is to be checked.
#[derive(Clone)]
pub struct Subject {
    storage: Arc<dyn CheckpointStorage>,
    reopen: Option<Arc<Reopen>>,
}

impl<S: CheckpointStorage> From<S> for Subject {
    fn from(storage: S) -> Self {
        Self::new(storage)
    }
}

impl Subject {
    /// This storage, of which there is one handle.
    pub fn new(storage: impl CheckpointStorage) -> Self {
        Self {
            storage: Arc::new(storage),
            reopen: None,
        }
    }

    /// Says how to open the same place again, as another process would. What the closure owns, such
    /// as a temporary folder, lives as long as the subject.
    #[must_use]
    pub fn reopened_by<S: CheckpointStorage>(self, open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self {
            reopen: Some(Arc::new(move || Arc::new(open()))),
            ..self
        }
    }

    pub(crate) fn location(&self) -> String {
        self.storage.location()
    }

    pub(super) fn capability(&self) -> StorageCapability {
        self.storage.capability()
    }

    /// Another handle, when it is known how to open one.
    pub(super) fn another(&self) -> Option<Self> {
        let open = self.reopen.clone()?;
        Some(Self {
            storage: open(),
            reopen: Some(open),
        })
    }

    /// Lets go of this handle and opens the place again.
    pub(super) fn opened_again(self) -> Option<Self> {
        let Self { storage, reopen } = self;
        drop(storage);
        let open = reopen?;
        Some(Self {
            storage: open(),
            reopen: Some(open),
        })
    }

    pub(super) fn create(&self, name: &str, bytes: impl Into<Bytes>) -> Created {
        sound(
            "create",
            name,
            block_on(self.storage.create(&key(name), bytes.into())),
        )
    }

    pub(super) fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Stored {
        sound("put", name, self.put_stream(name, pieces([bytes.into()])))
    }

    pub(super) fn put_stream(&self, name: &str, content: ByteStream) -> Result<Stored> {
        block_on(self.storage.put(&key(name), content))
    }

    /// Begins a put and drops it when `until` is done.
    pub(super) fn drop_put(&self, name: &str, content: ByteStream, until: impl Future + Unpin) {
        let key = key(name);
        let put = self.storage.put(&key, content);
        drop(block_on(futures::future::select(put, until)));
    }

    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        sound("get", name, block_on(self.storage.get(&key(name), None)))
    }

    pub(super) fn get_range(&self, name: &str, range: Range<u64>) -> Option<Bytes> {
        sound("get", name, block_on(self.storage.get(&key(name), Some(range))))
    }

    pub(super) fn list(&self, prefix: &str) -> Vec<String> {
        self.list_after(prefix, None)
    }

    pub(super) fn list_after(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let after = after.map(key);
        let keys = sound(
            "list",
            prefix,
            block_on(self.storage.list(prefix, after.as_ref())),
        );
        keys.into_iter().map(String::from).collect()
    }

    pub(super) fn delete(&self, names: &[&str]) {
        let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
        sound("delete", &names.join(", "), block_on(self.storage.delete(&keys)));
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("storage", &self.storage).finish()
    }
}

/// A stream of these pieces.
pub(super) fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> ByteStream {
    let pieces: Vec<_> = pieces.into_iter().map(Ok).collect();
    futures::stream::iter(pieces).boxed()
}

#[expect(clippy::expect_used, reason = "the names are written in the cases")]
fn key(name: &str) -> StorageKey {
    StorageKey::new(name).expect("a case uses a key that is none")
}

fn sound<T>(method: &str, name: &str, outcome: Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{method} of {name:?} failed: {error}"))
}
