//! Messages of a stream as records.

mod acknowledgments;
mod decode;
mod enumerator;
mod fetch;
mod reader;
mod split;
mod undecodable;

use crate::events::Events;
use crate::server::NatsServer;
pub use decode::NatsMessage;
use decode::{Decode, by_message};
use enumerator::NatsEnumerator;
use reader::NatsReader;
use snapline_connector::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::{Data, Result};
pub use split::NatsSplit;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
pub use undecodable::{Undecodable, UndecodableMessage};

/// Reads the messages of a stream, in their order, through a consumer with a name, and acknowledges them when a checkpoint that
/// they came before is complete.
///
/// | | |
/// |---|---|
/// | guarantee | exactly once: the checkpoint has the number of the next message of the stream, whatever the server delivers again |
/// | needs | JetStream; a stream with retention by limits or a work queue, the right to make, delete and read consumers of it; the name of the consumer for this source alone |
/// | in flight at a crash | is delivered again, from the position of the checkpoint on |
///
/// The consumer shows to tools how far the job is, and lets a work queue forget what is done. It is made anew whenever
/// reading begins, so settings made elsewhere do not last. Streams with retention by interest are refused, since they forget messages
/// meanwhile.
///
/// Each [pattern of subjects](NatsSource::subjects) is a split, read by one reader. Each record has the time at which the server got
/// its message as its event time.
///
/// When messages that were not read are gone, because the job was away for longer than the stream keeps them, the job is
/// refused. With patterns of subjects this cannot be seen.
///
/// # Examples
/// ```
/// use snapline_connector_nats::{NatsServer, NatsSource};
///
/// let server = NatsServer::new("nats://reader:secret@nats.example.com:4222")?;
/// let orders = NatsSource::new(server, "ORDERS", "billing", |message| {
///     String::from_utf8(message.payload.to_vec())
/// })
/// .subjects(["orders.eu.>", "orders.us.>"]);
/// # drop(orders);
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub struct NatsSource<T> {
    inlet: Arc<Inlet>,
    decode: Decode<T>,
}

/// The server side of a source.
#[derive(Debug)]
struct Inlet {
    server: NatsServer,
    stream: String,
    durable: String,
    /// Patterns, none of which has a subject of another; all subjects when there are none.
    subjects: Vec<String>,
    start: NatsStart,
    extent: Extent,
    undecodable: Undecodable,
    events: Events,
}

/// Whether reading ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// With the last message that is there when the job starts at the beginning.
    Bounded,
    /// Never.
    Unbounded,
}

/// Where a job that starts at the beginning begins to read. One that resumes goes on where it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsStart {
    /// With the first message that is still there.
    #[default]
    Earliest,
    /// Behind the last message that is there.
    Latest,
    /// With the first message of this number or a later one.
    Sequence(u64),
}

impl<T: Data> NatsSource<T> {
    /// Reads a stream through the consumer of this name, and makes a record of each message.
    pub fn new<E: Into<Box<dyn StdError + Send + Sync>>>(
        server: NatsServer,
        stream: impl Into<String>,
        durable: impl Into<String>,
        decode: impl Fn(&NatsMessage) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inlet: Arc::new(Inlet {
                server,
                stream: stream.into(),
                durable: durable.into(),
                subjects: Vec::new(),
                start: NatsStart::default(),
                extent: Extent::Unbounded,
                undecodable: Undecodable::default(),
                events: Events::default(),
            }),
            decode: by_message(decode),
        }
    }

    /// Only messages with subjects of these patterns, which must not overlap. The name of each consumer is that of the source and a
    /// number made of the pattern.
    #[must_use]
    pub fn subjects(self, subjects: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|inlet| inlet.subjects = subjects.into_iter().map(Into::into).collect())
    }

    /// Begins there; with the first message unless set. A work queue is always read from its beginning.
    #[must_use]
    pub fn start(self, start: NatsStart) -> Self {
        self.with(|inlet| inlet.start = start)
    }

    /// Ends with the last message that is there when the job starts at the beginning.
    #[must_use]
    pub fn bounded(self) -> Self {
        self.with(|inlet| inlet.extent = Extent::Bounded)
    }

    /// Does this with what cannot be decoded. Unless set, the job fails and names the stream and the message.
    #[must_use]
    pub fn on_undecodable(self, undecodable: Undecodable) -> Self {
        self.with(|inlet| inlet.undecodable = undecodable)
    }

    fn with(mut self, change: impl FnOnce(&mut Inlet)) -> Self {
        // Nobody else has it before the job is built.
        if let Some(inlet) = Arc::get_mut(&mut self.inlet) {
            change(inlet);
        }
        self
    }
}

impl<T: Data> Source for NatsSource<T> {
    type Item = T;
    type Split = NatsSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<NatsSplit>>> {
        Ok(Box::new(NatsEnumerator::new(self.inlet.clone())?))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, NatsSplit>>> {
        Ok(Box::new(NatsReader::new(self.inlet.clone(), self.decode.clone())))
    }
}

impl<T> fmt::Debug for NatsSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSource")
            .field("inlet", &self.inlet)
            .finish_non_exhaustive()
    }
}
