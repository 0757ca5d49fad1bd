//! The first bytes of a block.

use crate::spec::TableId;
use snapline_core::{Error, KeyGroupRange, Result};

pub(super) const HEADER_LEN: usize = 24;

pub(super) const META: u8 = 0;
pub(super) const ENTRIES: u8 = 1;
pub(super) const END: u8 = 2;
pub(super) const REMOVED: u8 = 3;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The length of the payload as it is stored, in bytes.
    pub(super) len: u32,
    pub(super) entries: u32,
    pub(super) table: TableId,
    pub(super) kind: u8,
    /// Whether the payload is compressed by the codec of the file.
    pub(super) is_compressed: bool,
    pub(super) key_groups: KeyGroupRange,
    /// crc32c of the header before it and the stored payload.
    pub(super) checksum: u32,
}

impl Header {
    /// A header without length and checksum, which [`Header::seal`] gives it.
    pub(super) fn new(kind: u8, table: TableId, key_groups: KeyGroupRange, entries: u32) -> Self {
        Self {
            len: 0,
            entries,
            table,
            kind,
            is_compressed: false,
            key_groups,
            checksum: 0,
        }
    }

    /// Writes the header of a block whose payload is there.
    pub(super) fn seal(self, block: &mut [u8]) {
        let (header, payload) = block.split_at_mut(HEADER_LEN);
        header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&self.entries.to_le_bytes());
        header[8..10].copy_from_slice(&self.table.0.to_le_bytes());
        header[10] = self.kind;
        header[11] = self.is_compressed.into();
        header[12..16].copy_from_slice(&self.key_groups.start().to_le_bytes());
        header[16..20].copy_from_slice(&self.key_groups.end().to_le_bytes());
        let checksum = checksum(header, payload);
        header[20..24].copy_from_slice(&checksum.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let [len, entries, _, start, end, checksum] = [0, 4, 8, 12, 16, 20]
            .map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        Self {
            len,
            entries,
            table: TableId(u16::from_le_bytes([bytes[8], bytes[9]])),
            kind: bytes[10],
            is_compressed: bytes[11] != 0,
            key_groups: KeyGroupRange::new(start, end),
            checksum,
        }
    }

    /// Compares the checksum with what these bytes of the header and the payload have.
    pub(super) fn check(&self, bytes: &[u8; HEADER_LEN], payload: &[u8]) -> Result<()> {
        if checksum(bytes, payload) == self.checksum {
            return Ok(());
        }
        Err(Error::corrupted("the checksum of a block does not match"))
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..20]), payload)
}
