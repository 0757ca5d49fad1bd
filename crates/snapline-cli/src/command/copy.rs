//! Copying to a folder of its own.

use crate::location::{self, Access, Place};
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use serde_json::json;
use snapline_coordinator::{Manifest, SavepointTarget, copy_checkpoint};
use snapline_core::Result;
use snapline_state::StorageKey;

pub(crate) async fn copy(subject: &Subject, to: &str, output: &mut Output) -> Outcome {
    let target = free_target(to).await?;
    let prefix = state_folder(&target.path, &subject.manifest)?;
    let progress = Progress::new("copying", &[subject], 1, output);
    let subject = &progress.watch(subject);
    let copy = copy_checkpoint(&subject.manifest, &subject.storage, &*target.storage, &prefix).await?;
    target.write_manifest(&copy).await?;
    drop(progress);
    told(&target, &copy, output)
}

/// A folder for a savepoint, in which there is none.
pub(crate) async fn free_target(to: &str) -> Result<SavepointTarget> {
    let Place { storage, path } = location::place(to, Access::Write).await?;
    let target = SavepointTarget { storage, path };
    target.check_free().await?;
    Ok(target)
}

/// Where the state of a savepoint is.
pub(crate) fn state_folder(path: &StorageKey, manifest: &Manifest) -> Result<StorageKey> {
    path.join(&format!(
        "state/{}/a{}-e{}",
        manifest.job, manifest.attempt, manifest.checkpoint
    ))
}

/// Says where the savepoint is.
pub(crate) fn told(target: &SavepointTarget, manifest: &Manifest, output: &mut Output) -> Outcome {
    let (storage, path) = (target.storage.location(), &target.path);
    if output.is_json() {
        output.json(&json!({
            "storage": storage, "path": path.as_str(), "job": manifest.job, "checkpoint": manifest.checkpoint,
            "max_parallelism": manifest.max_parallelism, "written": manifest.sizes.written,
        }))?;
    } else {
        output.line(&format!("the savepoint is at {path} in {storage}"))?;
    }
    Ok(Verdict::Fine)
}
