//! One immutable file of entries in order.
//!
//! Blocks, then the first key, place and length of each block, then a Bloom filter or nothing, then a foot of fixed
//! length. Index, filter and last key stay in memory; blocks are read when they are needed.

use super::block::{Block, append_len, read_len};
use super::cache::BlockId;
use super::filter::Filter;
use super::resident::{Resident, Shared};
use byteview::ByteView;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that can be read; it is removed when it is dropped.
#[derive(Debug)]
pub(in crate::backend) struct SortedFile {
    path: PathBuf,
    file: File,
    /// No other file of this process has it.
    number: u64,
    meta: Meta,
    shared: Shared,
    resident: Resident,
}

/// What of a file is in memory.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) index: Index,
    pub(super) last: Box<[u8]>,
    pub(super) filter: Option<Filter>,
    pub(super) entries: u64,
    /// How long the file is.
    pub(super) bytes: u64,
}

/// The first key and the place of each block.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: Vec<u8>,
    /// Where the key of each block ends in `keys`.
    key_ends: Vec<u32>,
    /// Where each block ends in the file.
    ends: Vec<u64>,
}

const MAGIC: u32 = 0x534c_5346;
const FOOT: usize = 40;

impl SortedFile {
    pub(super) fn new(path: PathBuf, file: File, meta: Meta, shared: Shared) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut resident = shared.count();
        resident.set(meta.resident());
        Self {
            path,
            file,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            meta,
            shared,
            resident,
        }
    }

    /// Opens a file that was written earlier.
    pub(super) fn open(path: PathBuf, shared: Shared) -> io::Result<Self> {
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        let foot_at = len.checked_sub(FOOT as u64).ok_or_else(damaged)?;
        let mut foot = [0; FOOT];
        read_at(&file, &mut foot, foot_at)?;
        let (meta_at, entries, filter_len) = read_foot(&foot)?;
        let mut bytes = vec![0; foot_at.checked_sub(meta_at).ok_or_else(damaged)? as usize];
        read_at(&file, &mut bytes, meta_at)?;
        if crc32c::crc32c(&bytes) != u32::from_le_bytes(*foot.last_chunk().ok_or_else(damaged)?) {
            return Err(damaged());
        }
        let meta = Meta::decode(&bytes, filter_len, entries, len).ok_or_else(damaged)?;
        Ok(Self::new(path, file, meta, shared))
    }

    /// The same without its filter, to be read as a whole.
    pub(super) fn without_filter(mut self) -> Self {
        self.meta.filter = None;
        self.resident.set(self.meta.resident());
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::backend) fn bytes(&self) -> u64 {
        self.meta.bytes
    }

    pub(super) fn entries(&self) -> u64 {
        self.meta.entries
    }

    pub(super) fn first(&self) -> &[u8] {
        self.meta.index.key(0)
    }

    pub(super) fn last(&self) -> &[u8] {
        &self.meta.last
    }

    pub(super) fn filter_bytes(&self) -> usize {
        self.meta.filter.as_ref().map_or(0, Filter::resident)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn blocks(&self) -> usize {
        self.meta.index.ends.len()
    }

    /// The block in which a key is if it is in the file.
    pub(super) fn block_of(&self, key: &[u8]) -> usize {
        self.meta.index.block_of(key)
    }

    /// Whether a key may be in the file.
    pub(super) fn may_have(&self, key: &[u8], hash: u64) -> bool {
        let is_between = self.first() <= key && key <= self.last();
        is_between
            && self
                .meta
                .filter
                .as_ref()
                .is_none_or(|filter| filter.may_have(hash))
    }

    /// What is stored for a key: nothing, that it was removed, or a value. Blocks are read into `buffer`.
    pub(super) fn get(&self, key: &[u8], buffer: &mut Vec<u8>) -> io::Result<Option<Option<ByteView>>> {
        let number = self.block_of(key);
        let id: BlockId = (self.number, number as u64);
        let look = |kept: &[u8]| find(Block::trusted(kept), key);
        if let Some(found) = self.shared.cache.look_into(id, look) {
            return found;
        }
        let (from, to) = self.span(number, number + 1);
        buffer.resize((to - from) as usize, 0);
        read_at(&self.file, buffer, from)?;
        let found = find(Block::checked(buffer), key)?;
        self.shared.cache.was_read(id, buffer);
        Ok(found)
    }

    /// Where the blocks from one on to before another are in the file.
    pub(super) fn span(&self, from: usize, to: usize) -> (u64, u64) {
        let ends = &self.meta.index.ends;
        let end = |block: usize| block.checked_sub(1).map_or(0, |before| ends[before]);
        (end(from), end(to))
    }

    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        read_at(&self.file, buffer, at)
    }
}

impl Drop for SortedFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn find(block: Option<Block<'_>>, key: &[u8]) -> io::Result<Option<Option<ByteView>>> {
    let block = block.ok_or_else(damaged)?;
    let found = block.find(key).map_err(|_| damaged())?;
    Ok(found.map(|value| value.map(ByteView::from)))
}

impl Index {
    pub(super) fn push(&mut self, first: &[u8], end: u64) {
        self.keys.extend_from_slice(first);
        self.key_ends.push(self.keys.len() as u32);
        self.ends.push(end);
    }

    fn key(&self, block: usize) -> &[u8] {
        let start = block.checked_sub(1).map_or(0, |before| self.key_ends[before]);
        &self.keys[start as usize..self.key_ends[block] as usize]
    }

    fn block_of(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.key(middle) <= key {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.keys.shrink_to_fit();
        self.key_ends.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn resident(&self) -> usize {
        self.keys.capacity() + 4 * self.key_ends.capacity() + 8 * self.ends.capacity()
    }
}

impl Meta {
    fn resident(&self) -> usize {
        self.index.resident() + self.last.len() + self.filter.as_ref().map_or(0, Filter::resident)
    }

    /// Writes what stands behind the blocks, which end at `at`, and says how long it is.
    pub(super) fn write(&self, at: u64, out: &mut impl Write) -> io::Result<u64> {
        let mut bytes = Vec::new();
        append_len(self.index.ends.len() as u64, &mut bytes);
        for block in 0..self.index.ends.len() {
            let key = self.index.key(block);
            append_len(key.len() as u64, &mut bytes);
            bytes.extend_from_slice(key);
            append_len(self.index.ends[block], &mut bytes);
        }
        append_len(self.last.len() as u64, &mut bytes);
        bytes.extend_from_slice(&self.last);
        out.write_all(&bytes)?;
        let mut checksum = crc32c::crc32c(&bytes);
        for piece in self.filter.iter().flat_map(Filter::pieces) {
            out.write_all(&piece)?;
            checksum = crc32c::crc32c_append(checksum, &piece);
        }
        let filter_len = self.filter.as_ref().map_or(0, Filter::len) as u64;
        for word in [at, self.entries, filter_len, 0] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&checksum.to_le_bytes())?;
        Ok(bytes.len() as u64 + filter_len + FOOT as u64)
    }

    fn decode(bytes: &[u8], filter_len: u64, entries: u64, file_len: u64) -> Option<Self> {
        let (bytes, filter) = bytes.split_at_checked(bytes.len().checked_sub(filter_len as usize)?)?;
        let mut at = 0;
        let part = |at: &mut usize| {
            let len = read_len(bytes, at)? as usize;
            let part = bytes.get(*at..at.checked_add(len)?)?;
            *at += len;
            Some(part)
        };
        let mut index = Index::default();
        for _ in 0..read_len(bytes, &mut at)? {
            let key = part(&mut at)?;
            index.push(key, read_len(bytes, &mut at)?);
        }
        let last = part(&mut at)?.into();
        let filter = match filter {
            [] => None,
            filter => Some(Filter::from_bytes(filter)?),
        };
        (!index.is_empty()).then_some(Self {
            index,
            last,
            filter,
            entries,
            bytes: file_len,
        })
    }
}

/// Where the index begins, how many entries there are, and how long the filter is.
fn read_foot(foot: &[u8; FOOT]) -> io::Result<(u64, u64, u64)> {
    let (words, _) = foot.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    match word(4) as u32 == MAGIC {
        true => Ok((word(0), word(1), word(2))),
        false => Err(damaged()),
    }
}

/// A file is not what was written.
pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a file of live state is damaged")
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                at += read as u64;
            }
        }
    }
    Ok(())
}
