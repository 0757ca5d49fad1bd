//! Which checkpoints and savepoints there are.

use crate::arguments::{SavepointStorage, StorageArguments};
use crate::location::{self, Access};
use crate::output::{Cell, Output, Section};
use crate::stop::{Outcome, Verdict};
use crate::time::utc;
use snapline_coordinator::{
    CheckpointStore, Manifest, Savepoint, StoredCheckpoint, Verification, stored_jobs,
};
use snapline_core::{CheckpointId, Error, ErrorKind, JobId, Result};
use snapline_state::StorageKey;

pub(crate) async fn checkpoints(arguments: &StorageArguments, output: &mut Output) -> Outcome {
    let storage = location::storage(&arguments.storage, Access::Read).await?;
    let mut jobs = stored_jobs(&*storage).await?;
    if let Some(wanted) = &arguments.job {
        let names = jobs.iter().map(JobId::as_str).collect::<Vec<_>>().join(", ");
        jobs.retain(|job| job.as_str() == wanted);
        if jobs.is_empty() {
            let error = Error::invalid("there is no such job here");
            return Err(error.with("job", wanted).with("jobs", names).into());
        }
    }
    if jobs.is_empty() {
        let error = Error::invalid("no job has kept checkpoints here");
        return Err(error.with("storage", storage.location()).into());
    }
    let mut section = Section::new(
        "checkpoints",
        &[
            "job",
            "checkpoint",
            "attempt",
            "created",
            "took",
            "kind",
            "total",
            "written",
            "state",
        ],
    );
    let mut verdict = Verdict::Fine;
    for job in jobs {
        let checkpoints = CheckpointStore::new(storage.clone(), job.clone())
            .checkpoints()
            .await?;
        if checkpoints.is_empty() {
            let none = || Cell::None;
            section.push([
                Cell::text_of(&job),
                none(),
                none(),
                none(),
                none(),
                none(),
                none(),
                none(),
                "no checkpoint".into(),
            ]);
        }
        for (id, summary) in checkpoints {
            let is_damaged = summary
                .as_ref()
                .is_err_and(|error| !StoredCheckpoint::is_gone(error));
            if is_damaged {
                verdict = Verdict::NotWhole;
            }
            section.push(row(&job, id, summary));
        }
    }
    output.sections(&[section])?;
    Ok(verdict)
}

fn row(job: &JobId, id: CheckpointId, summary: Result<StoredCheckpoint>) -> [Cell; 9] {
    let (job, id) = (Cell::text_of(job), Cell::Count(id.0));
    match summary {
        Ok(stored) => [
            job,
            id,
            Cell::Count(stored.attempt.0),
            Cell::Text(utc(stored.created)),
            stored.took.map_or(Cell::None, Cell::Duration),
            Cell::word(serde_json::to_value(stored.kind)),
            Cell::Bytes(stored.sizes.total),
            Cell::Bytes(stored.sizes.written),
            "readable".into(),
        ],
        Err(error) => {
            let state = match StoredCheckpoint::is_gone(&error) {
                true => "deleted".to_owned(),
                false => error.to_string(),
            };
            [
                job,
                id,
                Cell::None,
                Cell::None,
                Cell::None,
                Cell::None,
                Cell::None,
                Cell::None,
                Cell::Text(state),
            ]
        }
    }
}

pub(crate) async fn savepoints(arguments: &SavepointStorage, output: &mut Output) -> Outcome {
    let storage = location::storage(&arguments.storage, Access::Read).await?;
    let mut section = Section::new(
        "savepoints",
        &[
            "path",
            "job",
            "checkpoint",
            "created",
            "took",
            "kind",
            "total",
            "state",
        ],
    );
    let mut verdict = Verdict::Fine;
    let keys = storage.list("", None).await?;
    for path in keys.iter().filter_map(folder_of_manifest) {
        let savepoint = Savepoint::new(storage.clone(), path.clone());
        let read = savepoint.read(Verification::Manifest).await;
        if let Err(error) = &read {
            if error.kind() == ErrorKind::Unavailable {
                return Err(error.clone().into());
            }
            verdict = Verdict::NotWhole;
        }
        section.push(savepoint_row(&path, read));
    }
    output.sections(&[section])?;
    Ok(verdict)
}

fn savepoint_row(path: &StorageKey, read: Result<Manifest>) -> [Cell; 8] {
    let path = Cell::text_of(path);
    match read {
        Ok(manifest) => [
            path,
            Cell::text_of(&manifest.job),
            Cell::Count(manifest.checkpoint.0),
            Cell::Text(utc(manifest.created)),
            manifest.took().map_or(Cell::None, Cell::Duration),
            Cell::word(serde_json::to_value(manifest.kind)),
            Cell::Bytes(manifest.sizes.total),
            "readable".into(),
        ],
        Err(error) => [
            path,
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::text_of(error),
        ],
    }
}

/// Of a manifest that is not that of a job's checkpoint: `{job}/checkpoint/a7-e12/manifest.json`.
fn folder_of_manifest(key: &StorageKey) -> Option<StorageKey> {
    let (folder, name) = key.as_str().rsplit_once('/')?;
    let is_checkpoint = folder.split('/').nth(1) == Some("checkpoint") && folder.split('/').count() == 3;
    (name == "manifest.json" && !is_checkpoint)
        .then(|| StorageKey::new(folder).ok())
        .flatten()
}
