//! Writes a sorted file.

use super::block::BlockBuilder;
use super::disk::{Disk, DiskFile};
use super::filter::Filter;
use super::resident::{BUFFER, Resident, Shared};
use super::sorted_file::{Index, Meta, SortedFile};
use snapline_core::stable_hash_bytes;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// A file that is being written; if it is not finished it is removed.
#[derive(Debug)]
pub(super) struct FileWriter {
    out: BufWriter<DiskFile>,
    unfinished: Unfinished,
    shared: Shared,
    /// What index and filter take.
    resident: Resident,
    block: BlockBuilder,
    /// The first key of the block.
    first: Vec<u8>,
    index: Index,
    filter: Option<Filter>,
    entries: u64,
    written: u64,
}

/// How long the entries of a block are at least.
const BLOCK_BYTES: usize = 4 * 1024;

impl FileWriter {
    /// Begins a file; `room` is for how many keys there is a filter.
    pub(super) fn create(disk: &Disk, path: PathBuf, room: Option<u64>, shared: Shared) -> io::Result<Self> {
        let mut resident = shared.count();
        let filter = room.map(Filter::with_room_for);
        resident.set(filter.as_ref().map_or(0, Filter::resident));
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER, disk.create(&path)?),
            unfinished: Unfinished(path),
            shared,
            resident,
            block: BlockBuilder::default(),
            first: Vec::new(),
            index: Index::default(),
            filter,
            entries: 0,
            written: 0,
        })
    }

    /// Writes an entry, whose key is greater than all before.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        if self.block.len() == 0 {
            set(&mut self.first, key);
        }
        self.block.push(key, value);
        if let Some(filter) = &mut self.filter {
            filter.insert(stable_hash_bytes(key));
        }
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    /// How long the file is, but for what it ends with.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn end_block(&mut self) -> io::Result<()> {
        let out = &mut self.out;
        self.written += self.block.finish(|block| {
            out.write_all(block)?;
            io::Result::Ok(block.len() as u64)
        })?;
        self.index.push(&self.first, self.written);
        let filter = self.filter.as_ref().map_or(0, Filter::resident);
        self.resident.set(self.index.resident() + filter);
        Ok(())
    }

    /// Ends the file after `last`; it has at least one entry.
    pub(super) fn finish(mut self, last: &[u8]) -> io::Result<Arc<SortedFile>> {
        if self.block.len() > 0 {
            self.end_block()?;
        }
        self.index.shrink_to_fit();
        let mut meta = Meta {
            index: self.index,
            last: last.into(),
            filter: self.filter,
            entries: self.entries,
            bytes: 0,
        };
        meta.bytes = self.written + meta.write(self.written, &mut self.out)?;
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let file = file.into_file();
        let path = std::mem::take(&mut self.unfinished.0);
        drop(self.resident);
        Ok(Arc::new(SortedFile::new(path, file, meta, self.shared)))
    }
}

fn set(text: &mut Vec<u8>, to: &[u8]) {
    text.clear();
    text.extend_from_slice(to);
}

/// Removes what is half a file.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}
