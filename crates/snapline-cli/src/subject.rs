//! The checkpoint or savepoint that a command is about.

use crate::arguments::{CheckpointArguments, StorageArguments};
use crate::location::{self, Access};
use snapline_coordinator::{CheckpointStore, Manifest, Savepoint, Verification, stored_jobs};
use snapline_core::{CheckpointId, Error, JobId, Result};
use snapline_state::{CheckpointStorage, StorageKey};
use std::sync::Arc;

/// A checkpoint or savepoint whose manifest was read.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) path: StorageKey,
    pub(crate) manifest: Manifest,
}

impl Subject {
    /// The savepoint in a folder.
    pub(crate) async fn savepoint(text: &str) -> Result<Self> {
        let place = location::place(text, Access::Read).await?;
        Self::read(place.storage, place.path).await
    }

    /// A checkpoint of a job, or its newest.
    pub(crate) async fn checkpoint(arguments: &CheckpointArguments) -> Result<Self> {
        let store = store(&arguments.storage, Access::Read).await?;
        Self::of(&store, arguments.checkpoint.map(CheckpointId)).await
    }

    /// A checkpoint of a job, or its newest.
    pub(crate) async fn of(store: &CheckpointStore, wanted: Option<CheckpointId>) -> Result<Self> {
        let checkpoints = store.checkpoints().await?;
        let newest = checkpoints.first().map(|(id, _)| *id);
        let mut found = checkpoints.into_iter();
        let Some((_, summary)) = found.find(|(id, _)| wanted.is_none_or(|wanted| *id == wanted)) else {
            let error = match newest {
                None => Error::invalid("the job has no checkpoint"),
                Some(newest) => Error::invalid("there is no such checkpoint; see `checkpoint list`")
                    .with("newest", newest),
            };
            return Err(error.with("job", store.job()));
        };
        Self::read(store.storage().clone(), summary?.path).await
    }

    async fn read(storage: Arc<dyn CheckpointStorage>, path: StorageKey) -> Result<Self> {
        let savepoint = Savepoint::new(storage.clone(), path.clone());
        let manifest = savepoint.read(Verification::Manifest).await?;
        Ok(Self {
            storage,
            path,
            manifest,
        })
    }
}

/// The checkpoints of the job that was named, or of the only one.
pub(crate) async fn store(arguments: &StorageArguments, access: Access) -> Result<CheckpointStore> {
    let storage = location::storage(&arguments.storage, access).await?;
    let mut jobs = stored_jobs(&*storage).await?;
    let names = jobs.iter().map(JobId::as_str).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = &arguments.job {
        jobs.retain(|job| job.as_str() == wanted);
    }
    match jobs.len() {
        1 => Ok(CheckpointStore::new(storage, jobs.remove(0))),
        0 if names.is_empty() => {
            Err(Error::invalid("no job has kept checkpoints here").with("storage", storage.location()))
        }
        0 => Err(Error::invalid("there is no such job here").with("jobs", names)),
        _ => Err(Error::invalid("there are several jobs here; choose one with --job").with("jobs", names)),
    }
}
