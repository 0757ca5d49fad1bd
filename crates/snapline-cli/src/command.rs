//! What each command does.

mod copy;
mod delete;
mod diff;
mod export;
mod inspect;
mod list;
mod rescale;
mod verify;

use crate::arguments::{CheckpointVerb, Noun, SavepointVerb};
use crate::location::Access;
use crate::output::Output;
use crate::stop::Outcome;
use crate::subject::{Subject, store};
use snapline_core::CheckpointId;

/// Does what was asked for.
pub(crate) async fn run(noun: Noun, output: &mut Output) -> Outcome {
    match noun {
        Noun::Checkpoint(verb) => checkpoint(verb, output).await,
        Noun::Savepoint(verb) => savepoint(verb, output).await,
    }
}

async fn checkpoint(verb: CheckpointVerb, output: &mut Output) -> Outcome {
    match verb {
        CheckpointVerb::List(arguments) => list::checkpoints(&arguments, output).await,
        CheckpointVerb::Inspect(arguments) => {
            inspect::inspect(&Subject::checkpoint(&arguments).await?, output).await
        }
        CheckpointVerb::Verify(arguments) => {
            verify::verify(&Subject::checkpoint(&arguments).await?, output).await
        }
        CheckpointVerb::Export(arguments) => {
            let subject = Subject::checkpoint(&arguments.of).await?;
            export::export(&subject, &arguments.selection, output).await
        }
        CheckpointVerb::Diff(arguments) => {
            let store = store(&arguments.storage, Access::Read).await?;
            let from = Subject::of(&store, Some(CheckpointId(arguments.from))).await?;
            let to = Subject::of(&store, Some(CheckpointId(arguments.to))).await?;
            diff::diff(&from, &to, &arguments.limit, output).await
        }
        CheckpointVerb::Copy(arguments) => {
            let subject = Subject::checkpoint(&arguments.of).await?;
            copy::copy(&subject, &arguments.to, output).await
        }
        CheckpointVerb::Delete(arguments) => delete::checkpoint(&arguments, output).await,
    }
}

async fn savepoint(verb: SavepointVerb, output: &mut Output) -> Outcome {
    match verb {
        SavepointVerb::List(arguments) => list::savepoints(&arguments, output).await,
        SavepointVerb::Inspect(arguments) => {
            inspect::inspect(&Subject::savepoint(&arguments.path).await?, output).await
        }
        SavepointVerb::Verify(arguments) => {
            verify::verify(&Subject::savepoint(&arguments.path).await?, output).await
        }
        SavepointVerb::Export(arguments) => {
            let subject = Subject::savepoint(&arguments.of.path).await?;
            export::export(&subject, &arguments.selection, output).await
        }
        SavepointVerb::Diff(arguments) => {
            let from = Subject::savepoint(&arguments.from).await?;
            let to = Subject::savepoint(&arguments.to).await?;
            diff::diff(&from, &to, &arguments.limit, output).await
        }
        SavepointVerb::Copy(arguments) => {
            let subject = Subject::savepoint(&arguments.of.path).await?;
            copy::copy(&subject, &arguments.to, output).await
        }
        SavepointVerb::Delete(arguments) => delete::savepoint(&arguments, output).await,
        SavepointVerb::Rescale(arguments) => rescale::rescale(&arguments, output).await,
    }
}
