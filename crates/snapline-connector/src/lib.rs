//! Sources and sinks for Snapline.
//!
//! A [`Source`] is divided into splits with exact positions, so that reading resumes at the very
//! record after a checkpoint. A [`Sink`] takes part in checkpoints by two-phase commit: what its
//! writers have written before a barrier becomes visible when the checkpoint is complete, once.
//!
//! Readers and writers are synchronous and work on batches; what waits for the outside world
//! (finding splits, making a pre-commit durable, committing) is asynchronous and runs beside the tasks.

mod sink;
mod source;

pub use sink::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
pub use source::{
    DiscoveryContext, ReaderContext, ReaderProgress, ReaderStatus, Source, SourceReader, SourceSplit,
    SplitEnumerator, deal_splits,
};
