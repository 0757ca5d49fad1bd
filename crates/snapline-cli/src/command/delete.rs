//! Deleting, after a question.

use crate::arguments::{Consent, DeleteCheckpoint, DeleteSavepoint};
use crate::location::{self, Access};
use crate::output::Output;
use crate::stop::{Outcome, Verdict};
use crate::subject::{Subject, store};
use serde_json::json;
use snapline_coordinator::{Savepoint, Verification};
use snapline_core::{CheckpointId, Error, Result};
use std::io::{BufRead, IsTerminal, Write};

pub(crate) async fn checkpoint(arguments: &DeleteCheckpoint, output: &mut Output) -> Outcome {
    let store = store(&arguments.storage, Access::Write).await?;
    let id = CheckpointId(arguments.checkpoint);
    let what = format!("checkpoint {id} of {}", store.job());
    Subject::of(&store, Some(id)).await?;
    ask(&what, &arguments.consent)?;
    let files = store.delete_checkpoint(id).await?;
    told(&what, files, output)
}

pub(crate) async fn savepoint(arguments: &DeleteSavepoint, output: &mut Output) -> Outcome {
    let place = location::place(&arguments.of.path, Access::Write).await?;
    let savepoint = Savepoint::new(place.storage, place.path);
    let manifest = savepoint.read(Verification::Manifest).await?;
    let folder = format!("{}/", savepoint.path());
    let job_folder = format!("{}/checkpoint/", manifest.job);
    if folder.starts_with(&job_folder) {
        let error = Error::invalid("this is a checkpoint of a job; delete it with `checkpoint delete`");
        return Err(error.with("path", savepoint.path()).into());
    }
    let what = format!("the savepoint at {}", savepoint.path());
    ask(&what, &arguments.consent)?;
    let before = savepoint.storage().list(&folder, None).await?.len();
    savepoint.delete().await?;
    let left = savepoint.storage().list(&folder, None).await?.len();
    told(&what, before.saturating_sub(left), output)
}

fn told(what: &str, files: usize, output: &mut Output) -> Outcome {
    match output.is_json() {
        true => output.json(&json!({"deleted": what, "files": files}))?,
        false => output.line(&format!("deleted {what}: {files} files"))?,
    }
    Ok(Verdict::Fine)
}

fn ask(what: &str, consent: &Consent) -> Result<()> {
    if consent.yes {
        return Ok(());
    }
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        return Err(Error::invalid("nobody can be asked whether to delete; give --yes").with("what", what));
    }
    let _ = write!(std::io::stderr().lock(), "delete {what} for ever? [y/N] ");
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::invalid("nothing was deleted").with("what", what)),
    }
}
