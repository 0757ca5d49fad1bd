//! The objects that a writer writes to, one for each bucket.

use super::Options;
use super::name::Part;
use super::place::Place;
use super::upload::Upload;
use object_store::path::PathPart;
use snapline_connector::{WriterContext, check_bucket};
use snapline_core::{CheckpointId, Error, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::task::{Context, Poll};

/// So many parts of a subtask are on their way at a time.
const IN_FLIGHT: usize = 4;

/// So many parts of a subtask wait until they are long enough.
const BUFFERED: usize = 8;

/// The bucket of a sink that has no others: the prefix itself.
pub(super) const ROOT: &str = "";

pub(super) struct OpenUploads {
    place: Place,
    options: Options,
    by_bucket: BTreeMap<String, Upload>,
    /// Objects that are long enough, of the coming checkpoint.
    sealed: Vec<Upload>,
    /// The next object that begins.
    next: Part,
    /// How many bytes are in buffers.
    buffered: usize,
}

impl OpenUploads {
    pub(super) fn new(place: Place, options: Options, context: &WriterContext) -> Self {
        Self {
            place,
            options,
            by_bucket: BTreeMap::new(),
            sealed: Vec::new(),
            next: Part {
                subtask: context.subtask,
                attempt: context.attempt,
                after: CheckpointId::NONE,
                number: 0,
            },
            buffered: 0,
        }
    }

    /// Lets bytes be appended to the object of a bucket.
    ///
    /// # Errors
    /// What `append` fails with; `Invalid` when there cannot be such a bucket.
    pub(super) fn append(
        &mut self,
        bucket: &str,
        append: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let upload = self.upload(bucket)?;
        let before = upload.buffer.len();
        append(&mut upload.buffer)?;
        let (buffer, len) = (upload.buffer.len(), upload.len());
        self.buffered += buffer - before;
        if len >= self.options.roll_at && len > 0 {
            self.seal(bucket);
        } else if buffer >= self.options.part_size {
            self.send_part(bucket);
        }
        while self.buffered > BUFFERED * self.options.part_size {
            self.seal_longest();
        }
        Ok(())
    }

    /// Ready when few enough parts are under way.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut under_way = 0;
        for upload in self.sealed.iter_mut().chain(self.by_bucket.values_mut()) {
            under_way += upload.poll_under_way(cx)?;
        }
        match under_way < IN_FLIGHT {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Takes all objects that are not empty; others begin after this checkpoint.
    pub(super) fn take(&mut self, checkpoint: CheckpointId) -> Vec<Upload> {
        self.next.after = checkpoint;
        self.buffered = 0;
        let open = std::mem::take(&mut self.by_bucket).into_values();
        let mut uploads = std::mem::take(&mut self.sealed);
        uploads.extend(open.filter(|upload| upload.len() > 0));
        uploads
    }

    fn upload(&mut self, bucket: &str) -> Result<&mut Upload> {
        match self.by_bucket.entry(bucket.to_owned()) {
            Entry::Occupied(upload) => Ok(upload.into_mut()),
            Entry::Vacant(place) => {
                let name = name(bucket, self.next.name(&self.options.suffix))?;
                self.next.number += 1;
                Ok(place.insert(Upload::new(self.place.clone(), name)))
            }
        }
    }

    fn send_part(&mut self, bucket: &str) {
        if let Some(upload) = self.by_bucket.get_mut(bucket) {
            self.buffered -= upload.buffer.len();
            upload.send_part();
        }
    }

    /// Nothing more comes to the object of a bucket. What is left of it is sent, because many may wait for their checkpoint.
    fn seal(&mut self, bucket: &str) {
        let Some(mut upload) = self.by_bucket.remove(bucket) else {
            return;
        };
        self.buffered -= upload.buffer.len();
        if !upload.buffer.is_empty() {
            upload.send_part();
        }
        self.sealed.push(upload);
    }

    fn seal_longest(&mut self) {
        let longest = self
            .by_bucket
            .iter()
            .max_by_key(|(_, upload)| upload.buffer.len());
        if let Some(bucket) = longest.map(|(bucket, _)| bucket.clone()) {
            self.seal(&bucket);
        }
    }
}

/// The name of an object of a bucket.
fn name(bucket: &str, part: String) -> Result<String> {
    if bucket == ROOT {
        return Ok(part);
    }
    check_bucket(bucket)?;
    // The store would have another name for it than the sink.
    if bucket
        .split('/')
        .any(|folder| PathPart::from(folder).as_ref() != folder)
    {
        return Err(Error::invalid(
            "a bucket must not have characters that names of objects should not have, such as '%', '#', '*' or '<'; \
             replace them in the function that says the bucket",
        )
        .with("given", format!("{bucket:?}")));
    }
    Ok(format!("{bucket}/{part}"))
}
