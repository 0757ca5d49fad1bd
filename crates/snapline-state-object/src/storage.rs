//! The trait, on top of an object store.

use crate::builder::ObjectStorageBuilder;
use crate::place::Place;
use crate::read::read;
use crate::upload::Upload;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, Result as StoreResult};
use snapline_core::{Error, Result};
use snapline_objects::Io;
use snapline_objects::{Phase, explain, is_missing, is_taken};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A [`CheckpointStorage`] in an object store.
///
/// A clone is another handle with the same thread, connections and limits; the thread ends with the last handle.
///
/// Beside the contract of the trait:
/// * A `create` runs to its end, also when it is dropped.
/// * A `put` that is dropped, or fails, in its last request may leave the whole object.
/// * In a directory, what a crash has left half-written stays beside the object, invisible, in a file with `#` in its
///   name. `snapline-state-file` cleans up after itself; take that one for a single machine.
///
/// ```
/// use snapline_state::{CheckpointStorage, Created, StorageKey};
/// use snapline_state_object::ObjectCheckpointStorage;
///
/// # futures::executor::block_on(async {
/// let storage = ObjectCheckpointStorage::open("memory:///").await?;
/// let key = StorageKey::new("job/epoch/1.json")?;
/// assert_eq!(storage.create(&key, "{}".into()).await?, Created::New);
/// assert_eq!(storage.list("job/", None).await?, [key]);
/// # Ok::<(), snapline_core::Error>(())
/// # })?;
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ObjectCheckpointStorage {
    place: Arc<Place>,
    io: Io,
    creates: Creates,
    turn: Arc<Mutex<()>>,
    capability: StorageCapability,
    location: String,
}

/// Who decides which `create` is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creates {
    /// The store.
    Conditional,
    /// This handle and its clones, one after the other.
    InTurn,
    /// Nobody: the storage is for reading.
    Refused,
}

impl ObjectCheckpointStorage {
    /// Opens a place such as `s3://bucket/prefix` with the environment variables that the store knows.
    ///
    /// # Errors
    /// As [`ObjectStorageBuilder::build`].
    pub async fn open(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).build().await
    }

    /// Opens a place such as `s3://bucket/prefix` with more settings.
    pub fn builder(url: impl Into<String>) -> ObjectStorageBuilder {
        ObjectStorageBuilder::url(url.into())
    }

    /// Uses a store that the program has built, below a prefix.
    ///
    /// ```
    /// use snapline_state_object::ObjectCheckpointStorage;
    /// use std::sync::Arc;
    ///
    /// # futures::executor::block_on(async {
    /// let store = Arc::new(object_store::memory::InMemory::new());
    /// let storage = ObjectCheckpointStorage::over(store.clone(), "checkpoints").parts(store).build().await?;
    /// # Ok::<(), snapline_core::Error>(())
    /// # })?;
    /// # Ok::<(), snapline_core::Error>(())
    /// ```
    pub fn over(store: Arc<dyn ObjectStore>, prefix: impl Into<String>) -> ObjectStorageBuilder {
        ObjectStorageBuilder::given(store, prefix.into())
    }

    pub(crate) fn new(
        place: Place,
        io: Io,
        creates: Creates,
        capability: StorageCapability,
        location: String,
    ) -> Self {
        Self {
            place: Arc::new(place),
            io,
            creates,
            turn: Arc::default(),
            capability,
            location,
        }
    }

    fn check_writable(&self) -> Result<()> {
        match self.creates {
            Creates::Conditional | Creates::InTurn => Ok(()),
            Creates::Refused => Err(Error::unsupported(
                "the object store was opened for reading; open it without `read_only()`",
            )
            .with("location", &self.location)),
        }
    }

    fn failed(&self, message: &'static str, at: &str) -> impl FnOnce(StoreError) -> Error {
        let at = format!("{}/{at}", self.location.trim_end_matches('/'));
        move |error| explain(Phase::InUse, message, error).with("object", at)
    }
}

#[async_trait]
impl CheckpointStorage for ObjectCheckpointStorage {
    fn capability(&self) -> StorageCapability {
        self.capability
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.check_writable()?;
        let (place, path) = (self.place.clone(), self.place.path(key));
        let (alone, turn) = (self.creates == Creates::InTurn, self.turn.clone());
        // Not stopped when dropped: in turn, the next one must not begin while this one may still arrive.
        let create = self.io.spawn(async move {
            if alone {
                let _turn = turn.lock().await;
                return create_if_missing(&place, &path, bytes).await;
            }
            create_if_absent(&place, &path, bytes).await
        });
        let outcome = create.await.unwrap_or_else(|source| Err(source.into()));
        outcome.map_err(self.failed("cannot create the object", key.as_str()))
    }

    async fn put(&self, key: &StorageKey, mut content: ByteStream) -> Result<Stored> {
        self.check_writable()?;
        let mut upload = Upload::new(self.place.clone(), self.io.clone(), self.place.path(key));
        while let Some(piece) = content.next().await {
            upload.write(piece?).await?;
        }
        upload.finish().await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let (place, path) = (self.place.clone(), self.place.path(key));
        let range = range.unwrap_or(0..u64::MAX);
        let get = self.io.call(async move { read(&place, &path, range).await });
        get.await
            .map_err(self.failed("cannot read the object", key.as_str()))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let (place, text, after) = (self.place.clone(), prefix.to_owned(), after.cloned());
        let list = self
            .io
            .call(async move { place.list(&text, after.as_ref()).await });
        list.await.map_err(self.failed("cannot list the objects", prefix))
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.check_writable()?;
        let (place, first) = (self.place.clone(), keys.first().map_or("", StorageKey::as_str));
        let paths: Vec<Path> = keys.iter().map(|key| place.path(key)).collect();
        let delete = self.io.call(async move {
            let delete = || delete_all(&place, paths.clone());
            place.retries.run(delete).await
        });
        delete
            .await
            .map_err(self.failed("cannot delete the objects", first))
    }
}

/// The store decides. What it answers to a request that was repeated, or whose first answer was lost, may be
/// that the object is there: then its bytes tell whose it is.
async fn create_if_absent(place: &Place, path: &Path, bytes: Bytes) -> StoreResult<Created> {
    let attempt = || async {
        let mode = PutMode::Create.into();
        match place.store.put_opts(path, bytes.clone().into(), mode).await {
            Ok(_) => return Ok(Created::New),
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
        let there = read(place, path, 0..u64::MAX).await?;
        there.map(|there| compare(there, &bytes)).ok_or_else(vanished)
    };
    place.retries.run(attempt).await
}

/// Nobody else writes, so that looking first decides.
async fn create_if_missing(place: &Place, path: &Path, bytes: Bytes) -> StoreResult<Created> {
    if let Some(there) = read(place, path, 0..u64::MAX).await? {
        return Ok(compare(there, &bytes));
    }
    let put = || place.store.put(path, bytes.clone().into());
    place.retries.run(put).await.map(|_| Created::New)
}

fn compare(there: Bytes, bytes: &Bytes) -> Created {
    if there == bytes {
        Created::New
    } else {
        Created::AlreadyExists(there)
    }
}

/// The name was taken, and a moment later there was nothing: a deletion, or a writer that has not finished.
fn vanished() -> StoreError {
    StoreError::Generic {
        store: "snapline",
        source: "the object is there and cannot be read".into(),
    }
}

/// Deletes all that it can, and tells the first failure.
async fn delete_all(place: &Place, paths: Vec<Path>) -> StoreResult<()> {
    let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
    let outcomes: Vec<StoreResult<Path>> = place.store.delete_stream(paths).collect().await;
    let failed = |outcome: StoreResult<Path>| outcome.err().filter(|error| !is_missing(error));
    outcomes.into_iter().find_map(failed).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
