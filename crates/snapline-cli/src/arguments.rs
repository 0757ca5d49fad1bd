//! What a user can ask for.

use crate::output::Format;
use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  everything is fine
  1  state is damaged, or two checkpoints differ
  2  wrong usage, not found, or the storage does not answer

A STORAGE is what the job has as its checkpoint storage: a directory, file:///directory, or s3://bucket/prefix and
the like where that was compiled in. A savepoint PATH is the folder of a savepoint: the storage and the path in it.";

/// Looks into checkpoints and savepoints, without the program whose state they hold.
#[derive(Debug, Parser)]
#[command(name = "snapline", version, about, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Writes JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

impl Arguments {
    pub(crate) fn format(&self) -> Format {
        match self.json {
            true => Format::Json,
            false => Format::Table,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// The checkpoints of jobs in a storage.
    #[command(subcommand, visible_alias = "checkpoints", after_help = EXIT_CODES)]
    Checkpoint(CheckpointVerb),
    /// Savepoints, each a folder of its own.
    #[command(subcommand, visible_alias = "savepoints", after_help = EXIT_CODES)]
    Savepoint(SavepointVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointVerb {
    /// Lists the checkpoints of all jobs, newest first.
    #[command(after_help = EXIT_CODES)]
    List(StorageArguments),
    /// Shows what a checkpoint consists of.
    #[command(after_help = EXIT_CODES)]
    Inspect(CheckpointArguments),
    /// Proves that a checkpoint is a consistent cut and that all of its state is there.
    #[command(after_help = EXIT_CODES)]
    Verify(CheckpointArguments),
    /// Writes all keyed state, one JSON object for each line.
    #[command(after_help = EXIT_CODES)]
    Export(ExportCheckpoint),
    /// Shows which keys two checkpoints have different values for. Holds the older state of one operator in memory.
    #[command(after_help = EXIT_CODES)]
    Diff(DiffCheckpoints),
    /// Copies a checkpoint to a folder of its own: a savepoint, from which jobs can start.
    #[command(after_help = EXIT_CODES)]
    Copy(CopyCheckpoint),
    /// Deletes a checkpoint that is neither the newest nor needed by a newer one, of a job that is not running.
    #[command(after_help = EXIT_CODES)]
    Delete(DeleteCheckpoint),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SavepointVerb {
    /// Lists the savepoints in a storage.
    #[command(after_help = EXIT_CODES)]
    List(SavepointStorage),
    /// Shows what a savepoint consists of.
    #[command(after_help = EXIT_CODES)]
    Inspect(SavepointArguments),
    /// Proves that a savepoint is a consistent cut and that all of its state is there.
    #[command(after_help = EXIT_CODES)]
    Verify(SavepointArguments),
    /// Writes all keyed state, one JSON object for each line.
    #[command(after_help = EXIT_CODES)]
    Export(ExportSavepoint),
    /// Shows which keys two savepoints have different values for. Holds the first one's state of one operator in memory.
    #[command(after_help = EXIT_CODES)]
    Diff(DiffSavepoints),
    /// Copies a savepoint to another folder.
    #[command(after_help = EXIT_CODES)]
    Copy(CopySavepoint),
    /// Deletes a savepoint.
    #[command(after_help = EXIT_CODES)]
    Delete(DeleteSavepoint),
    /// Writes a new savepoint whose keys are dealt out to another number of key groups.
    #[command(after_help = EXIT_CODES)]
    Rescale(RescaleSavepoint),
}

#[derive(Debug, Args)]
pub(crate) struct StorageArguments {
    /// The storage of the checkpoints.
    pub(crate) storage: String,
    /// The job; not needed when the storage has only one.
    #[arg(long)]
    pub(crate) job: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckpointArguments {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// The checkpoint; the newest when not given.
    #[arg(long, value_name = "ID")]
    pub(crate) checkpoint: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct SavepointStorage {
    /// The storage of the savepoints.
    pub(crate) storage: String,
}

#[derive(Debug, Args)]
pub(crate) struct SavepointArguments {
    /// The folder of the savepoint.
    pub(crate) path: String,
}

/// Which part of the state.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// Only of the operator of this uid.
    #[arg(long, value_name = "UID")]
    pub(crate) operator: Option<String>,
    /// Only states of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) state: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportCheckpoint {
    #[command(flatten)]
    pub(crate) of: CheckpointArguments,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct ExportSavepoint {
    #[command(flatten)]
    pub(crate) of: SavepointArguments,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct DiffLimit {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How many keys are shown; all are counted.
    #[arg(long, default_value_t = 100, value_name = "KEYS")]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DiffCheckpoints {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// The id of the checkpoint to compare with.
    pub(crate) from: u64,
    /// The id of the checkpoint that is compared.
    pub(crate) to: u64,
    #[command(flatten)]
    pub(crate) limit: DiffLimit,
}

#[derive(Debug, Args)]
pub(crate) struct DiffSavepoints {
    /// The savepoint to compare with.
    pub(crate) from: String,
    /// The savepoint that is compared.
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) limit: DiffLimit,
}

#[derive(Debug, Args)]
pub(crate) struct CopyCheckpoint {
    #[command(flatten)]
    pub(crate) of: CheckpointArguments,
    /// The folder of the copy, which must not be there yet.
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct CopySavepoint {
    #[command(flatten)]
    pub(crate) of: SavepointArguments,
    /// The folder of the copy, which must not be there yet.
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Does not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteCheckpoint {
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    /// The id of the checkpoint.
    pub(crate) checkpoint: u64,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteSavepoint {
    #[command(flatten)]
    pub(crate) of: SavepointArguments,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct RescaleSavepoint {
    /// The number of key groups that jobs which start from the new savepoint have.
    #[arg(long, value_name = "N")]
    pub(crate) max_parallelism: u32,
    /// The savepoint, or the folder of a checkpoint.
    pub(crate) from: String,
    /// The folder of the new savepoint, which must not be there yet.
    pub(crate) to: String,
}
