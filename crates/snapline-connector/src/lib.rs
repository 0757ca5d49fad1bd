//! Sources and sinks for Snapline.
//!
//! A [`Source`] is divided into splits with exact positions, so that reading resumes at the very
//! record after a checkpoint. A [`Sink`] takes part in checkpoints by two-phase commit: what its
//! writers have written before a barrier becomes visible when the checkpoint is complete, once.
//!
//! Readers and writers are synchronous and work on batches; what waits for the outside world
//! (finding splits, making a pre-commit durable, committing) is asynchronous and runs beside the tasks. Clients of
//! servers that need tokio run on an `EventLoop`, with the feature `event-loop`.

mod buckets;
mod channel;
mod collect;
mod collection;
mod deal;
mod discard;
mod discovery;
mod encoder;
#[cfg(feature = "event-loop")]
mod event_loop;
mod for_each;
mod generator;
mod no_commit;
#[cfg(feature = "event-loop")]
mod outbox;
#[cfg(feature = "event-loop")]
mod patience;
mod print;
mod range;
mod sequence;
mod sink;
mod source;
#[cfg(test)]
mod testing;
mod undecodable;

pub use buckets::{Buckets, check_bucket};
pub use channel::{ChannelSender, ChannelSource, ChannelSplit};
pub use collect::{CollectSink, Collected, CollectedPart};
pub use collection::CollectionSource;
pub use deal::{SplitDealer, deal_splits};
pub use discard::DiscardSink;
pub use discovery::{DiscoveredSplits, DiscoveryOutlook, SeenSplits};
pub use encoder::RecordEncoder;
#[cfg(feature = "event-loop")]
pub use event_loop::{Call, EventLoop};
pub use for_each::ForEachSink;
pub use generator::GeneratorSource;
pub use no_commit::{NoCommitter, nothing_to_commit};
#[cfg(feature = "event-loop")]
pub use outbox::{Outbox, OutboxOrder, OutboxOrders, outbox};
#[cfg(feature = "event-loop")]
pub use patience::Patience;
pub use print::PrintSink;
pub use range::RangeSplit;
pub use sequence::SequenceSource;
pub use sink::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
pub use source::{
    DiscoveryContext, ReaderContext, ReaderProgress, ReaderStatus, Source, SourceReader, SourceSplit,
    SplitEnumerator,
};
pub use undecodable::{SkippedRecords, Undecodable};
