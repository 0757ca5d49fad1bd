//! Where the objects of a sink are, and the requests that it makes.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, Result as StoreResult,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::{Error, Result};
use snapline_objects::{Call, Io, Phase, Retries, explain, is_missing};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A prefix in a store. Objects of readers lie in it; what only the sink knows lies below `_snapline/`, which readers of prefixes
/// pass over by convention.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    pub(super) prefix: Path,
    pub(super) io: Io,
    pub(super) retries: Retries,
}

/// So many requests of one kind are under way at a time.
const AT_ONCE: usize = 8;

/// Below the prefix, what only the sink knows.
const OWN: &str = "_snapline";

impl Place {
    /// The path of an object that readers see.
    pub(super) fn visible(&self, name: &str) -> Path {
        below(self.prefix.clone(), name)
    }

    /// The path of something of this kind that only the sink knows.
    pub(super) fn own(&self, kind: &str, name: &str) -> Path {
        below(self.own_folder(kind), name)
    }

    fn own_folder(&self, kind: &str) -> Path {
        self.prefix.clone().join(OWN).join(kind)
    }

    /// The names of the objects that readers see, but not in folders.
    pub(super) async fn visible_names(&self) -> Result<Vec<String>> {
        let (store, folder) = (self.store.clone(), self.prefix.clone());
        let list = move || {
            let (store, folder) = (store.clone(), folder.clone());
            async move { Ok(store.list_with_delimiter(Some(&folder)).await?.objects) }
        };
        self.names(&self.prefix, list).await
    }

    /// The same with those in folders, unless a folder is another sink's.
    pub(super) async fn visible_names_below(&self) -> Result<Vec<String>> {
        let names = self.names_below(&self.prefix).await?;
        Ok(without_sinks_below(names))
    }

    /// The names of what only the sink knows of this kind.
    pub(super) async fn own_names(&self, kind: &str) -> Result<Vec<String>> {
        self.names_below(&self.own_folder(kind)).await
    }

    async fn names_below(&self, folder: &Path) -> Result<Vec<String>> {
        let (store, below) = (self.store.clone(), folder.clone());
        let list = move || store.list(Some(&below)).try_collect::<Vec<_>>();
        self.names(folder, list).await
    }

    async fn names<F>(&self, folder: &Path, list: impl Fn() -> F + Send + 'static) -> Result<Vec<String>>
    where
        F: Future<Output = StoreResult<Vec<ObjectMeta>>> + Send,
    {
        let retries = self.retries;
        let listed = self.io.call(async move { retries.run(list).await });
        let listed = listed.await.map_err(|error| {
            explain(Phase::InUse, "the objects of the output cannot be listed", error).with("prefix", folder)
        })?;
        let names = listed.iter().filter_map(|object| {
            let parts = object.location.prefix_match(folder)?;
            Some(
                parts
                    .map(|part| part.as_ref().to_owned())
                    .collect::<Vec<_>>()
                    .join("/"),
            )
        });
        Ok(names.collect())
    }

    /// Stores a note of the sink.
    pub(super) fn put_note<N: Serialize>(&self, path: &Path, note: &N) -> Result<Call<()>> {
        let bytes = serde_json::to_vec(note)
            .map_err(|error| Error::internal("a note of the sink cannot be written").because(error))?;
        let (store, retries, path) = (self.store.clone(), self.retries, path.clone());
        let payload = PutPayload::from(Bytes::from(bytes));
        Ok(self.io.call(async move {
            let put = || async { store.put(&path, payload.clone()).await };
            retries.run(put).await.map(drop)
        }))
    }

    /// Reads a note of the sink, if it is there.
    pub(super) async fn note<N: DeserializeOwned>(&self, path: &Path) -> Result<Option<N>> {
        let (store, retries, at) = (self.store.clone(), self.retries, path.clone());
        let read = self.io.call(async move {
            let get = || async { store.get(&at).await?.bytes().await };
            retries.run(get).await
        });
        match read.await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::invalid("a note of the sink cannot be read; who has changed it?")
                    .with("object", path)
                    .because(error)
            }),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                Err(explain(Phase::InUse, "a note of the sink cannot be read", error).with("object", path))
            }
        }
    }

    /// The length of an object that readers see, if it is there.
    pub(super) async fn len(&self, path: &Path) -> Result<Option<u64>> {
        let (store, retries, at) = (self.store.clone(), self.retries, path.clone());
        let head = self.io.call(async move {
            let head = || async { store.head(&at).await };
            retries.run(head).await
        });
        match head.await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(
                explain(Phase::InUse, "an object of the output cannot be looked at", error)
                    .with("object", path),
            ),
        }
    }

    /// Removes objects; one that is not there is no failure.
    pub(super) async fn delete(&self, paths: Vec<Path>) -> Result<()> {
        let deletes = paths.into_iter().map(|path| {
            let (store, retries, at) = (self.store.clone(), self.retries, path.clone());
            let call = self.io.call(async move {
                let delete = || async { store.delete(&at).await };
                match retries.run(delete).await {
                    Err(error) if is_missing(&error) => Ok(()),
                    outcome => outcome,
                }
            });
            async move {
                call.await.map_err(|error| {
                    explain(Phase::InUse, "an object cannot be removed", error).with("object", path)
                })
            }
        });
        let deletes = futures::stream::iter(deletes.collect::<Vec<_>>());
        deletes.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Makes an object of the parts of an upload.
    pub(super) async fn complete(&self, path: &Path, upload: &str, parts: &[String]) -> StoreResult<()> {
        let (store, retries, at, id) = (self.parts.clone(), self.retries, path.clone(), upload.to_owned());
        let parts: Vec<PartId> = parts
            .iter()
            .map(|content_id| PartId {
                content_id: content_id.clone(),
            })
            .collect();
        let complete = self.io.call(async move {
            let complete = || async { unless_over(store.complete_multipart(&at, &id, parts.clone()).await) };
            retries.run(complete).await
        });
        complete.await?.map(drop)
    }

    /// Gives an upload up; one that is over is no failure.
    pub(super) async fn abort(&self, path: &Path, upload: &str) -> Result<()> {
        let (store, retries, at, id) = (self.parts.clone(), self.retries, path.clone(), upload.to_owned());
        let abort = self.io.call(async move {
            let abort = || async { unless_over(store.abort_multipart(&at, &id).await) };
            retries.run(abort).await.map(drop)
        });
        abort.await.map_err(|error| {
            explain(
                Phase::InUse,
                "an upload that a crash has left cannot be aborted",
                error,
            )
            .with("object", path)
        })
    }
}

/// A path below a folder, whose parts are as they are in the store.
fn below(folder: Path, name: &str) -> Path {
    name.split('/').fold(folder, Path::join)
}

/// A folder with something that only a sink knows is that sink's. What this one knows is nothing for readers either.
fn without_sinks_below(names: Vec<String>) -> Vec<String> {
    let (own, mark) = (format!("{OWN}/"), format!("/{OWN}/"));
    let sinks: BTreeSet<String> = names
        .iter()
        .filter_map(|name| Some(name[..=name.find(&mark)?].to_owned()))
        .collect();
    let others: Vec<&String> = sinks.iter().chain([&own]).collect();
    let is_visible = |name: &String| !others.iter().any(|other| name.starts_with(*other));
    names.into_iter().filter(is_visible).collect()
}

/// That an upload is over is no failure to try again after.
pub(super) fn unless_over<T>(outcome: StoreResult<T>) -> StoreResult<StoreResult<T>> {
    match outcome {
        Err(error) if is_over(&error) => Ok(Err(error)),
        outcome => outcome.map(Ok),
    }
}

/// Whether there is no such upload, since it was completed or aborted.
pub(super) fn is_over(error: &StoreError) -> bool {
    let text = error.to_string();
    let says = |words: &str| text.contains(words);
    matches!(error, StoreError::NotFound { .. }) || says("NoSuchUpload") || says("MultipartUpload not found")
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.prefix)
    }
}
