//! One way through a file of a restore, from its parts to tables.

use super::Block;
use super::decoder::{BlockDecoder, Checks};
use super::restore::Tables;
use super::stored::{StoredBlock, StoredEntries};
use crate::handle::{HandleKind, StateHandle, StateLocation};
use crate::pieces::Pieces;
use crate::spec::TableId;
use crate::storage::CheckpointStorage;
use snapline_core::{Error, Result};
use std::collections::BTreeMap;

/// Blocks of at most so many bytes are handed out together: enough for several threads.
pub(super) const GATHERED: usize = if cfg!(test) { 10_000 } else { 16 << 20 };

/// A delta that is longer is read twice, in parts: the keys that it removes come before all of its entries.
pub(super) const LONG_DELTA: u64 = if cfg!(test) { 20_000 } else { 8 << 20 };

/// What a backend does with entries.
pub(super) type Keep<'a> = &'a mut (dyn FnMut(StoredEntries) -> Result<()> + Send);

/// A file that is read from its beginning to its end.
pub(super) struct Pass<'a> {
    /// Which of the files of the restore.
    pub(super) file: usize,
    pub(super) handle: &'a StateHandle,
    takes: Takes,
    /// Whether it is in memory anyway, and checked as a whole.
    is_held: bool,
}

/// Which blocks are of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    Removed,
    Entries,
}

impl<'a> Pass<'a> {
    /// The ways through a file that a restore takes.
    pub(super) fn over(file: usize, handle: &'a StateHandle, storage: &dyn CheckpointStorage) -> Vec<Self> {
        let is_held = !matches!(handle.location, StateLocation::File { .. }) || handle.is_local(storage);
        let is_long = handle.kind == HandleKind::Delta && handle.len > LONG_DELTA && !is_held;
        let takes: &[Takes] = match is_long {
            true => &[Takes::Removed, Takes::Entries],
            false => &[Takes::All],
        };
        let pass = |takes: &Takes| Pass {
            file,
            handle,
            takes: *takes,
            is_held,
        };
        takes.iter().map(pass).collect()
    }

    /// Whether its entries need not be handed out together.
    fn is_in_parts(&self) -> bool {
        let is_short_delta = self.handle.kind == HandleKind::Delta && self.takes == Takes::All;
        !self.is_held && !is_short_delta
    }
}

/// How far a pass has come.
pub(super) struct Reading {
    decoder: BlockDecoder,
    /// The tables of the file, by their ids in it.
    tables: BTreeMap<TableId, StoredEntries>,
    gathered: usize,
    /// Blocks of so many bytes are handed out together.
    enough: usize,
}

impl Reading {
    pub(super) fn of(pass: &Pass<'_>, enough: usize) -> Self {
        let checks = match pass.is_held {
            true => Checks::None,
            false => Checks::Blocks,
        };
        Self {
            decoder: BlockDecoder::new(checks),
            tables: BTreeMap::new(),
            gathered: 0,
            enough,
        }
    }

    /// Takes more of the file, and hands out what has come together.
    pub(super) fn read(
        &mut self,
        content: Pieces,
        pass: &Pass<'_>,
        tables: &mut Tables<'_>,
        keep: Keep<'_>,
    ) -> Result<()> {
        self.decoder.push(content);
        let damaged = |error: Error| error.with("file", pass.handle.name());
        while let Some(block) = self.decoder.next().map_err(damaged)? {
            self.take(block, pass, tables)?;
            if self.gathered >= self.enough && pass.is_in_parts() {
                self.hand_out(tables, keep)?;
            }
        }
        Ok(())
    }

    /// The file has ended, and is whole. Each of its tables is handed out once more, also without entries.
    pub(super) fn finish(self, pass: &Pass<'_>, tables: &mut Tables<'_>, keep: Keep<'_>) -> Result<()> {
        let whole = self.decoder.finish();
        whole.map_err(|error| error.with("file", pass.handle.name()))?;
        for entries in self.tables.into_values() {
            tables.check(&entries)?;
            keep(entries)?;
        }
        Ok(())
    }

    fn take(&mut self, block: Block, pass: &Pass<'_>, tables: &mut Tables<'_>) -> Result<()> {
        match block {
            // That it comes again says nothing new.
            Block::Meta(stored, _) if self.tables.contains_key(&stored) => {}
            Block::Meta(stored, meta) => {
                let entries = tables.begin(meta, pass.handle.kind)?.of_file(pass.file);
                self.tables.insert(stored, entries);
            }
            Block::Entries {
                table,
                key_groups,
                entries,
                payload,
            } if pass.takes != Takes::Removed => {
                self.gathered += payload.len();
                self.begun(table)?.push(StoredBlock {
                    key_groups,
                    entries,
                    payload,
                })?;
            }
            Block::Removed {
                table,
                key_groups,
                keys,
                payload,
            } if pass.takes != Takes::Entries => {
                self.gathered += payload.len();
                self.begun(table)?.push_removed(StoredBlock {
                    key_groups,
                    entries: keys,
                    payload,
                })?;
            }
            Block::Entries { .. } | Block::Removed { .. } => {}
        }
        Ok(())
    }

    fn hand_out(&mut self, tables: &mut Tables<'_>, keep: Keep<'_>) -> Result<()> {
        self.gathered = 0;
        for entries in self.tables.values_mut().filter(|entries| !entries.is_empty()) {
            let entries = entries.take();
            tables.check(&entries)?;
            keep(entries)?;
        }
        Ok(())
    }

    fn begun(&mut self, table: TableId) -> Result<&mut StoredEntries> {
        let begun = self.tables.get_mut(&table);
        begun.ok_or_else(|| Error::corrupted("entries come before their table"))
    }
}
