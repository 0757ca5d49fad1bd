//! Streams of NATS JetStream as sources and exactly-once sinks for Snapline.
//!
//! | | guarantee | needs from the server | in flight at a crash |
//! |---|---|---|---|
//! | [`NatsSink`] | exactly once, however long the job is away | a stream that keeps its messages, with a `duplicate_window` as long as checkpoints are apart; a small stream of its own | messages that wait for no checkpoint are removed at the next start; their records are published anew |
//! | [`NatsSink::at_least_once`] | at least once | a stream | messages since the last checkpoint come again |
//! | [`NatsSource`] | exactly once: the number of the next message is in the checkpoint | a stream with retention by limits, or a work queue | is delivered again; what was handed out before the checkpoint is not counted twice |
//!
//! All calls run on one thread for each sink or source, whatever executor the job has; messages are encoded and decoded in the
//! tasks. What the server has acknowledged survives when it is killed; for power failures see its `sync_interval`. The tests
//! run against version 2.9, which they start from Debian's packages.

mod events;
mod failure;
mod ledger;
mod message;
mod owner;
mod pull;
mod server;
mod session;
mod sink;
mod source;
mod subject;

/// The client of NATS that this crate is made with.
pub use async_nats;
pub use message::NewMessage;
pub use server::NatsServer;
pub use sink::{ExistingMessages, NatsPart, NatsSink};
pub use snapline_connector::SkippedRecords;
pub use source::{NatsMessage, NatsSource, NatsSplit, NatsStart, Undecodable, UndecodableMessage};
