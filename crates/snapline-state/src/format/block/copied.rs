//! Entries that are encoded away from the task: where its snapshot is stored.

use super::header::ENTRIES;
use super::open_block::OpenBlock;
use crate::spec::TableId;
use crate::ttl::Living;
use snapline_core::{KeyGroupRange, Result};
use std::fmt;
use std::sync::Arc;

/// Copies of entries, which know how they are encoded.
pub(crate) trait Copies: Send + fmt::Debug {
    /// How many there are.
    fn len(&self) -> u32;

    /// How much memory they take, in bytes.
    fn bytes(&self) -> usize;

    /// Appends the encoded entries to a payload.
    ///
    /// # Errors
    /// `Invalid` when one cannot be encoded.
    fn encode(self: Box<Self>, payload: &mut Vec<u8>) -> Result<()>;
}

/// Copies of entries of one table.
#[derive(Debug)]
pub(crate) struct CopiedEntries {
    pub(super) table: TableId,
    /// The name of the table.
    pub(super) name: Arc<str>,
    pub(super) key_groups: KeyGroupRange,
    pub(super) copies: Box<dyn Copies>,
    /// Says which of them are to be written, if not all are.
    pub(super) living: Option<Living>,
}

impl CopiedEntries {
    pub(crate) fn table(&self) -> TableId {
        self.table
    }

    /// How much memory they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.copies.bytes()
    }

    /// Encodes them into a block, which must be one for them.
    ///
    /// # Errors
    /// `Invalid` naming the state, when an entry cannot be encoded.
    pub(crate) fn encode(self, block: &mut OpenBlock) -> Result<()> {
        let (entries, key_groups) = (self.copies.len(), self.key_groups);
        let named = |error: snapline_core::Error| error.with("state", &self.name);
        let Some(living) = self.living else {
            return self
                .copies
                .encode(block.append(key_groups, entries))
                .map_err(named);
        };
        let mut all = Vec::new();
        self.copies.encode(&mut all).map_err(named)?;
        let (entries, payload) = living.of(entries, &all)?;
        if entries > 0 {
            block.append(key_groups, entries).extend_from_slice(&payload);
        }
        Ok(())
    }
}

impl OpenBlock {
    /// The block, if there is anything in it but entries of this table. What is appended next must be such.
    pub(crate) fn take_all_but_entries_of(&mut self, table: TableId) -> Option<bytes::Bytes> {
        self.take_other(ENTRIES, table)
    }
}
