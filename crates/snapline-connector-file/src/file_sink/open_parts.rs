//! The files that a writer writes to, one for each bucket.

use super::directory::Directory;
use super::name::Part;
use super::part_file::PartFile;
use snapline_connector::WriterContext;
use snapline_core::Result;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How much of one file is written at a time.
const BUFFER: usize = 256 * 1024;

/// With so much in the buffers of all files together they are written out and freed.
const BUFFERS: usize = if cfg!(test) { 1_000 } else { 16 * 1024 * 1024 };

/// So many files stay open: a process has a thousand descriptors on most systems, for all of its tasks.
const MOST_OPEN: usize = if cfg!(test) { 3 } else { 64 };

pub(super) struct OpenParts {
    directory: Directory,
    by_bucket: BTreeMap<String, PartFile>,
    /// The next file that begins.
    next: Part,
    /// How many bytes are in buffers.
    buffered: usize,
    /// How many files are open.
    open: usize,
}

impl OpenParts {
    pub(super) fn new(directory: Directory, context: &WriterContext) -> Self {
        Self {
            directory,
            by_bucket: BTreeMap::new(),
            next: Part {
                subtask: context.subtask,
                attempt: context.attempt,
                number: 0,
            },
            buffered: 0,
            open: 0,
        }
    }

    /// Lets bytes be appended to the file of a bucket. Returns the file if it is at least so long now; the next bytes
    /// of its bucket begin another one.
    ///
    /// # Errors
    /// What `append` fails with; what keeps files from being written.
    pub(super) fn append(
        &mut self,
        bucket: &str,
        enough: u64,
        append: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Option<PartFile>> {
        let part = self.part(bucket)?;
        let before = part.buffer.len();
        append(&mut part.buffer)?;
        let (buffer, len) = (part.buffer.len(), part.len());
        self.buffered += buffer - before;
        let is_long = len >= enough && len > 0;
        if is_long || buffer >= BUFFER {
            self.write_out(bucket)?;
        }
        if self.buffered > BUFFERS {
            self.write_out_all()?;
        }
        Ok(if is_long { self.take_out(bucket) } else { None })
    }

    /// Takes all files that are not empty, in the order of their buckets.
    pub(super) fn take(&mut self) -> impl Iterator<Item = PartFile> + use<> {
        (self.buffered, self.open) = (0, 0);
        let parts = std::mem::take(&mut self.by_bucket).into_values();
        parts.filter(|part| !part.is_empty())
    }

    fn part(&mut self, bucket: &str) -> Result<&mut PartFile> {
        match self.by_bucket.entry(bucket.to_owned()) {
            Entry::Occupied(part) => Ok(part.into_mut()),
            Entry::Vacant(place) => {
                let part = PartFile::new(self.next, bucket)?;
                self.next.number += 1;
                Ok(place.insert(part))
            }
        }
    }

    fn write_out(&mut self, bucket: &str) -> Result<()> {
        if let Some(part) = self.by_bucket.get_mut(bucket) {
            self.buffered -= part.buffer.len();
            self.open += usize::from(!part.is_open());
            part.write_out(&self.directory)?;
        }
        if self.open > MOST_OPEN {
            self.close_all();
        }
        Ok(())
    }

    fn close_all(&mut self) {
        self.by_bucket.values_mut().for_each(PartFile::close);
        self.open = 0;
    }

    fn write_out_all(&mut self) -> Result<()> {
        for part in self.by_bucket.values_mut().filter(|part| !part.buffer.is_empty()) {
            part.write_out(&self.directory)?;
            part.buffer = Vec::new();
            part.close();
        }
        self.buffered = 0;
        self.close_all();
        Ok(())
    }

    /// Takes the file of a bucket, closed: many may wait for their checkpoint.
    fn take_out(&mut self, bucket: &str) -> Option<PartFile> {
        let mut part = self.by_bucket.remove(bucket)?;
        self.open -= usize::from(part.is_open());
        part.close();
        Some(part)
    }
}
