//! Records to objects that appear when they are complete.

mod committer;
mod name;
mod open_uploads;
mod place;
mod upload;
mod writer;

use committer::ObjectCommitter;
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use place::Place;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    Buckets, Committer, CommitterContext, RecordEncoder, Sink, SinkWriter, WriterContext,
};
use snapline_core::{Error, Result};
use snapline_objects::{Io, Retries, StoreKind, Target, connect};
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};
use writer::ObjectWriter;

/// Notes of uploads that were begun, and of attempts.
const UPLOADS: &str = "uploads";
const ATTEMPTS: &str = "attempts";

/// An upload has no more parts.
const MAX_PARTS: u64 = 10_000;

/// Writes records to objects below a prefix, exactly once.
///
/// Each subtask uploads its objects in parts while records come. The uploads are part of the checkpoint, and are completed
/// when that is: an object `part-{subtask}-{attempt}-{checkpoint before}-{number}` appears whole, and never changes again.
/// An upload that is not completed cannot be read by anybody. What was in flight at a crash is aborted when the job starts
/// again; its records are written anew.
///
/// When a job has to restore an older checkpoint than its last one, because that cannot be read any more, the objects of
/// later checkpoints are removed again: their records will be written anew.
///
/// A prefix belongs to one sink of one job. Nothing below it is touched but objects with such names, and those below
/// `_snapline/`: a note of each upload until it is over, and of each attempt of which there are objects. With
/// [buckets](Self::bucket_by) the prefix may have other sinks below it, whose objects are left alone as well.
///
/// # What it takes
/// Memory, for each subtask: up to five parts, with buckets twelve. A checkpoint costs four requests for each object (begin, note, one part,
/// complete) and a delete; nothing when there were no records. The clock of the bucket's lifecycle rule for incomplete uploads
/// must be slower than a job may stand still between a checkpoint and its commit: a day is enough for most.
///
/// A crash between the beginning of an upload and its note leaves an empty upload, and so does an answer to its beginning that was lost;
/// only such a rule removes those.
pub struct ObjectSink<T> {
    source: Source,
    store_options: Vec<(String, String)>,
    retries: Retries,
    encode: RecordEncoder<T>,
    buckets: Option<Buckets<T>>,
    options: Options,
    /// One client and one thread for all writers and committers, from the first on.
    opened: Mutex<Option<Place>>,
}

#[derive(Clone)]
enum Source {
    Url(String),
    Given(Target),
}

#[derive(Debug, Clone)]
struct Options {
    suffix: String,
    roll_at: u64,
    part_size: usize,
    /// Whether objects may be in folders below the prefix.
    has_buckets: bool,
    existing: ExistingOutput,
}

/// What happens when a job finds output that it does not expect, or does not find what it expects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingOutput {
    /// A job does not start at the beginning where there are results, nor from a checkpoint where nothing is.
    #[default]
    Refuse,
    /// A job that starts at the beginning removes results; one that resumes may find nothing, since the sink is new in it.
    Replace,
}

/// An object that waits for its checkpoint to be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSinkPart {
    /// Its name below the prefix.
    name: String,
    /// The id of its upload.
    upload: String,
    /// The ids of its parts, in order.
    parts: Vec<String>,
    /// Its length in bytes.
    len: u64,
}

/// What is noted of an upload before its first part is sent.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    upload: String,
}

impl<T: 'static> ObjectSink<T> {
    /// Writes each record by its `Display` and a line end to objects below this URL, such as `s3://bucket/prefix`. The usual
    /// environment variables of the store hold.
    pub fn lines(url: impl Into<String>) -> Self
    where
        T: Display,
    {
        Self::new(Source::Url(url.into()), RecordEncoder::lines())
    }

    /// Writes the bytes that `encode` appends for each record.
    pub fn with_encoder(
        url: impl Into<String>,
        encode: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self::new(Source::Url(url.into()), RecordEncoder::each(encode))
    }

    /// The same to a store that the program has built itself, below this prefix.
    ///
    /// # Errors
    /// `Invalid` when the prefix is no path in a store.
    pub fn over<S: ObjectStore + MultipartStore>(
        store: Arc<S>,
        prefix: &str,
        encode: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Result<Self> {
        let prefix = Path::parse(prefix).map_err(|error| {
            Error::invalid("the prefix in the object store is not valid")
                .with("prefix", prefix)
                .because(error)
        })?;
        let target = Target {
            store: store.clone(),
            parts: Some(store),
            prefix,
            kind: StoreKind::Given,
        };
        Ok(Self::new(Source::Given(target), RecordEncoder::each(encode)))
    }

    fn new(source: Source, encode: RecordEncoder<T>) -> Self {
        Self {
            source,
            store_options: Vec::new(),
            retries: Retries::default(),
            encode,
            buckets: None,
            options: Options {
                suffix: String::new(),
                roll_at: 128 << 20,
                part_size: 8 << 20,
                has_buckets: false,
                existing: ExistingOutput::default(),
            },
            opened: Mutex::new(None),
        }
    }

    /// Sets an option of the store by its name in `object_store`, such as `region` or `aws_endpoint`; stronger than
    /// the environment variable of this name.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.store_options.push((name.into(), value.into()));
        self
    }

    /// How long failed requests are repeated: a minute unless told.
    #[must_use]
    pub fn retries(self, retries: Retries) -> Self {
        Self { retries, ..self }
    }

    /// Ends the names of objects with this, as in `.csv`. A job that resumes must have the same.
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.options.suffix = suffix.into();
        self
    }

    /// Puts each record into the folder below the prefix that this function names, as in `day=2026-12-01/hour=03`: parts
    /// of a path with `/` between them. A job that resumes must have buckets if it had them before; which record goes
    /// where may change.
    ///
    /// A name that is no such path fails the job with `Invalid`. Each checkpoint begins an object for each bucket that has
    /// records. When eight parts of all buckets together are not long enough to be sent, the longest ends its object.
    #[must_use]
    pub fn bucket_by<B: AsRef<str>>(mut self, bucket: impl Fn(&T) -> B + Send + Sync + 'static) -> Self {
        self.buckets = Some(Buckets::new(bucket));
        self.options.has_buckets = true;
        self
    }

    /// Begins a new object when one has reached this length in bytes, rounded up to a batch. 128 MiB unless set. A new
    /// object begins at each checkpoint anyway.
    #[must_use]
    pub fn roll_at(mut self, bytes: u64) -> Self {
        self.options.roll_at = bytes;
        self
    }

    /// The length of a part in bytes, rounded up to a batch: 8 MiB unless told. Most stores take no less than 5 MiB.
    #[must_use]
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.options.part_size = bytes;
        self
    }

    /// Does this with output that is not as a job expects it.
    #[must_use]
    pub fn on_existing(mut self, existing: ExistingOutput) -> Self {
        self.options.existing = existing;
        self
    }

    fn place(&self) -> Result<Place> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*opened {
            return Ok(place.clone());
        }
        Ok(opened.insert(self.connect()?).clone())
    }

    fn connect(&self) -> Result<Place> {
        self.check()?;
        let target = match &self.source {
            Source::Url(url) => connect(url, &self.store_options, self.retries)?,
            Source::Given(target) => target.clone(),
        };
        if let StoreKind::Cloud { least_part } = target.kind
            && self.options.part_size < least_part
        {
            return Err(
                Error::invalid("the store takes no parts as small as that; raise the part size")
                    .with("part size", self.options.part_size)
                    .with("least", least_part),
            );
        }
        let parts = target.parts.ok_or_else(|| {
            Error::unsupported("a directory has no uploads in parts; FileSink writes exactly once to one")
        })?;
        Ok(Place {
            store: target.store,
            parts,
            prefix: target.prefix,
            io: Io::start()?,
            retries: self.retries,
        })
    }

    fn check(&self) -> Result<()> {
        let Options {
            suffix,
            roll_at,
            part_size,
            ..
        } = &self.options;
        if suffix.contains(['/', '\\', '\0']) {
            return Err(
                Error::invalid("the suffix of output objects must not have a '/', '\\' or NUL")
                    .with("given", format!("{suffix:?}")),
            );
        }
        if *part_size == 0 || roll_at.div_ceil(*part_size as u64) > MAX_PARTS {
            return Err(Error::invalid(
                "an object has at most 10,000 parts of at least one byte; raise the part size, or roll earlier",
            )
            .with("part size", part_size)
            .with("roll at", roll_at));
        }
        Ok(())
    }
}

impl<T: 'static> Sink<T> for ObjectSink<T> {
    type Committable = ObjectSinkPart;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, ObjectSinkPart>>> {
        let (encode, buckets) = (self.encode.clone(), self.buckets.clone());
        Ok(Box::new(ObjectWriter::new(
            self.place()?,
            encode,
            buckets,
            self.options.clone(),
            &context,
        )))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<ObjectSinkPart>>> {
        Ok(Box::new(ObjectCommitter::new(
            self.place()?,
            self.options.clone(),
            &context,
        )))
    }
}

impl<T> fmt::Debug for ObjectSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.source {
            Source::Url(url) => url.clone(),
            Source::Given(target) => format!("{}/{}", target.store, target.prefix),
        };
        f.debug_struct("ObjectSink")
            .field("place", &place)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
