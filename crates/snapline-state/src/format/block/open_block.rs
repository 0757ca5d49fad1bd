//! A block to which entries are appended until it is long enough.

use super::header::{ENTRIES, HEADER_LEN, Header};
use crate::spec::TableId;
use bytes::Bytes;
use snapline_core::KeyGroupRange;

const BLOCK_BYTES: usize = 256 * 1024;
/// By how much a block is usually longer: a little more than what a table drains at a time.
const ROOM: usize = 24 * 1024;

/// The entries, or removed keys, of one table that do not make a whole block yet.
#[derive(Debug)]
pub(crate) struct OpenBlock {
    table: TableId,
    /// Whether they are entries or removed keys.
    kind: u8,
    key_groups: KeyGroupRange,
    entries: u32,
    buffer: Vec<u8>,
}

impl OpenBlock {
    pub(crate) fn new() -> Self {
        Self {
            table: TableId(0),
            kind: ENTRIES,
            key_groups: KeyGroupRange::new(0, 0),
            entries: 0,
            buffer: Vec::new(),
        }
    }

    /// The block, if it is long enough.
    pub(crate) fn take_long(&mut self) -> Option<Bytes> {
        (self.buffer.len() >= BLOCK_BYTES).then(|| self.seal())
    }

    /// The block, if there is anything in it.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (self.entries > 0).then(|| self.seal())
    }

    /// The block, if there is anything in it that is not of this kind and table. What is appended next must be.
    pub(crate) fn take_other(&mut self, kind: u8, table: TableId) -> Option<Bytes> {
        let other = match (kind, table) == (self.kind, self.table) {
            true => None,
            false => self.take(),
        };
        (self.kind, self.table) = (kind, table);
        other
    }

    /// Where to append encoded entries of these key groups. There must be such.
    pub(crate) fn append(&mut self, key_groups: KeyGroupRange, entries: u32) -> &mut Vec<u8> {
        self.key_groups = match self.entries {
            0 => key_groups,
            _ => hull(self.key_groups, key_groups),
        };
        self.entries += entries;
        if self.buffer.is_empty() {
            self.buffer.resize(HEADER_LEN, 0);
        }
        &mut self.buffer
    }

    fn seal(&mut self) -> Bytes {
        // After a full block another is likely: room at once saves copying it as it grows.
        let is_full = self.buffer.len() >= BLOCK_BYTES;
        let next = Vec::with_capacity(if is_full { BLOCK_BYTES + ROOM } else { 0 });
        let mut block = std::mem::replace(&mut self.buffer, next);
        if block.capacity() > block.len() + ROOM {
            // The block may be kept for as long as its checkpoint.
            block.shrink_to_fit();
        }
        Header::new(self.kind, self.table, self.key_groups, self.entries).seal(&mut block);
        self.entries = 0;
        block.into()
    }
}

fn hull(a: KeyGroupRange, b: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange::new(a.start().min(b.start()), a.end().max(b.end()))
}
