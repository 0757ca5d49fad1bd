//! The entries of a table as they come out of a file.

use super::{Entry, RestoredEntry};
use crate::conversion::Conversion;
use crate::spec::TableId;
use bytes::Bytes;
use snapline_core::{Error, KeyGroupRange, MaxParallelism, Result, stable_hash_bytes};
use std::ops::Range;

/// The encoded entries of one table in one file, or in a part of one.
///
/// Beside those of key groups that the subtask owns there may be others in the same blocks, which are not
/// handed out. No key is there twice.
///
/// The entries of a delta replace those of the same keys in the files before it, and the keys that are
/// removed have no value any more unless the delta has one for them.
#[derive(Debug)]
pub struct StoredEntries {
    table: TableId,
    own: KeyGroupRange,
    max_parallelism: MaxParallelism,
    blocks: Vec<StoredBlock>,
    content: Content,
    conversion: Option<Conversion>,
    /// Tells the files of a restore apart.
    pub(super) file: usize,
}

/// How entries of a file add to those before.
#[derive(Debug)]
enum Content {
    /// They are all of the table.
    All,
    /// They are those that have changed; these blocks hold keys that are gone.
    Changes(Vec<StoredBlock>),
}

/// One block of entries.
#[derive(Debug)]
pub(crate) struct StoredBlock {
    pub(crate) key_groups: KeyGroupRange,
    pub(crate) entries: u32,
    pub(crate) payload: Bytes,
}

impl StoredEntries {
    pub(crate) fn new(table: TableId, own: KeyGroupRange, max_parallelism: MaxParallelism) -> Self {
        Self {
            table,
            own,
            max_parallelism,
            blocks: Vec::new(),
            content: Content::All,
            conversion: None,
            file: 0,
        }
    }

    /// The same of this file.
    pub(super) fn of_file(self, file: usize) -> Self {
        Self { file, ..self }
    }

    /// Takes the blocks out.
    pub(super) fn take(&mut self) -> Self {
        Self {
            blocks: std::mem::take(&mut self.blocks),
            content: match &mut self.content {
                Content::All => Content::All,
                Content::Changes(removed) => Content::Changes(std::mem::take(removed)),
            },
            conversion: self.conversion.clone(),
            ..*self
        }
    }

    /// Whether there is not a single block.
    pub(super) fn is_empty(&self) -> bool {
        let has_removed = matches!(&self.content, Content::Changes(removed) if !removed.is_empty());
        self.blocks.is_empty() && !has_removed
    }

    /// The same with this done to the values of blocks that are pushed.
    pub(crate) fn converted_by(self, conversion: Option<Conversion>) -> Self {
        Self { conversion, ..self }
    }

    /// The same for a delta.
    pub(crate) fn of_delta(table: TableId, own: KeyGroupRange, max_parallelism: MaxParallelism) -> Self {
        Self {
            content: Content::Changes(Vec::new()),
            ..Self::new(table, own, max_parallelism)
        }
    }

    /// Adds a block, unless it has nothing that the subtask owns.
    ///
    /// # Errors
    /// As [`Conversion::convert`].
    pub(crate) fn push(&mut self, mut block: StoredBlock) -> Result<()> {
        if self.has_other_keys() {
            return self.push_with_new_keys(block);
        }
        if block.key_groups.intersection(self.own).is_empty() {
            return Ok(());
        }
        if let Some(conversion) = &self.conversion {
            (block.entries, block.payload) =
                conversion.convert_block(&block.payload, self.is_delta(), |_| true)?;
        }
        self.blocks.push(block);
        Ok(())
    }

    /// Whether the keys of the file become others, which may belong to any key group.
    pub(crate) fn has_other_keys(&self) -> bool {
        let conversion = self.conversion.as_ref();
        conversion.is_some_and(Conversion::changes_keys)
    }

    /// Adds what the subtask owns of a block when its keys have become others.
    fn push_with_new_keys(&mut self, block: StoredBlock) -> Result<()> {
        let is_own = |key: &[u8]| self.owns(key);
        let converted = match &self.conversion {
            Some(conversion) => conversion.convert_block(&block.payload, self.is_delta(), is_own)?,
            None => (block.entries, block.payload),
        };
        let (entries, payload) = converted;
        self.blocks.push(StoredBlock {
            key_groups: self.own,
            entries,
            payload,
        });
        Ok(())
    }

    fn owns(&self, key: &[u8]) -> bool {
        let group = self.max_parallelism.key_group(stable_hash_bytes(key));
        self.own.contains(group)
    }

    /// What the subtask owns of a block of removed keys when they have become others.
    fn removed_with_new_keys(&self, block: StoredBlock) -> Result<StoredBlock> {
        let Some(conversion) = &self.conversion else {
            return Ok(block);
        };
        let (mut entries, mut payload) = (0, Vec::with_capacity(block.payload.len()));
        for key in Entry::removed(&block.payload) {
            let key = conversion.convert_key(key?)?;
            if self.owns(&key) {
                Entry::append_removed(&key, &mut payload);
                entries += 1;
            }
        }
        Ok(StoredBlock {
            key_groups: self.own,
            entries,
            payload: payload.into(),
        })
    }

    /// Adds a block of removed keys, unless it has none that the subtask owns.
    ///
    /// # Errors
    /// `Corrupted` when the file is not a delta.
    pub(crate) fn push_removed(&mut self, mut block: StoredBlock) -> Result<()> {
        if self.has_other_keys() {
            block = self.removed_with_new_keys(block)?;
        }
        match &mut self.content {
            Content::All => return Err(Error::corrupted("a full snapshot has removed keys")),
            Content::Changes(removed) if !block.key_groups.intersection(self.own).is_empty() => {
                removed.push(block);
            }
            Content::Changes(_) => {}
        }
        Ok(())
    }

    /// Whether the entries change those of files before.
    pub fn is_delta(&self) -> bool {
        matches!(self.content, Content::Changes(_))
    }

    /// Whether the keys or values are not those of the file: it has those of an older version, or without the time to
    /// live that the state has now. A snapshot must not build on such a file.
    pub fn is_migrated(&self) -> bool {
        let conversion = self.conversion.as_ref();
        conversion.is_some_and(|conversion| conversion.changes_values() || conversion.changes_keys())
    }

    /// Hands out each removed key that the subtask owns, with its hash.
    ///
    /// # Errors
    /// `Corrupted` when a block ends too early; the first error of `remove`.
    pub fn for_each_removed(&self, remove: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        self.for_each_removed_in(&self.hashes_of(self.own), remove)
    }

    /// Hands out each removed key whose low hash is one of these, with its hash.
    pub(crate) fn for_each_removed_in(
        &self,
        hashes: &Range<u64>,
        mut remove: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Content::Changes(blocks) = &self.content else {
            return Ok(());
        };
        let is_there = |block: &&StoredBlock| overlap(&self.hashes_of(block.key_groups), hashes) > 0;
        let blocks = blocks.iter().filter(is_there);
        for key in blocks.flat_map(|block| Entry::removed(&block.payload)) {
            let key = key?;
            let hash = stable_hash_bytes(key);
            if hashes.contains(&u64::from(hash as u32)) {
                remove(hash, key)?;
            }
        }
        Ok(())
    }

    /// The table. Ids from the number of wanted tables on are those of unclaimed ones.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Hands out each entry that the subtask owns.
    ///
    /// # Errors
    /// `Corrupted` when a block ends too early; the first error of `keep`.
    pub fn for_each(&self, keep: &mut dyn FnMut(RestoredEntry<'_>) -> Result<()>) -> Result<()> {
        let table = self.table;
        self.for_each_in(&self.hashes_of(self.own), |hash, entry| {
            keep(RestoredEntry { table, hash, entry })
        })
    }

    /// The low hashes that the entries and the removed keys may have.
    pub(crate) fn hashes(&self) -> Range<u64> {
        let all = |hull: Option<Range<u64>>, block: &StoredBlock| {
            let more = self.hashes_of(block.key_groups.intersection(self.own));
            Some(hull.map_or(more.clone(), |hull| {
                hull.start.min(more.start)..hull.end.max(more.end)
            }))
        };
        let removed: &[StoredBlock] = match &self.content {
            Content::All => &[],
            Content::Changes(removed) => removed,
        };
        self.blocks.iter().chain(removed).fold(None, all).unwrap_or(0..0)
    }

    /// In how many parts of equal size the hashes can be divided without reading many blocks twice.
    pub(crate) fn most_parts(&self) -> u32 {
        self.max_parallelism.get()
    }

    /// About how many of the entries have these low hashes.
    pub(crate) fn count_in(&self, hashes: &Range<u64>) -> u64 {
        let own = self.hashes_of(self.own);
        let hashes = hashes.start.max(own.start)..hashes.end.min(own.end);
        let count = |block: &StoredBlock| {
            let all = self.hashes_of(block.key_groups);
            match overlap(&all, &hashes) {
                0 => 0,
                // There are fewer than 2^32 entries and no more than 2^32 hashes.
                some => u64::from(block.entries) * some / (all.end - all.start),
            }
        };
        self.blocks.iter().map(count).sum()
    }

    /// Hands out each entry whose low hash is one of these, with its hash.
    #[inline]
    pub(crate) fn for_each_in<'a>(
        &'a self,
        hashes: &Range<u64>,
        mut keep: impl FnMut(u64, Entry<'a>) -> Result<()>,
    ) -> Result<()> {
        for block in &self.blocks {
            if overlap(&self.hashes_of(block.key_groups), hashes) == 0 {
                continue;
            }
            for entry in Entry::iter(&block.payload) {
                let entry = entry?;
                let hash = stable_hash_bytes(entry.key);
                if hashes.contains(&u64::from(hash as u32)) {
                    keep(hash, entry)?;
                }
            }
        }
        Ok(())
    }

    /// The low hashes of key groups.
    #[inline]
    fn hashes_of(&self, key_groups: KeyGroupRange) -> Range<u64> {
        let groups = u64::from(self.max_parallelism.get());
        let first = |group: u32| (u64::from(group) << 32).div_ceil(groups);
        first(key_groups.start())..first(key_groups.end())
    }
}

/// How many hashes are in both.
pub(crate) fn overlap(a: &Range<u64>, b: &Range<u64>) -> u64 {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_their_key_groups() {
        for groups in [1, 2, 3, 10, 127, 128, MaxParallelism::LIMIT] {
            let max = MaxParallelism::new(groups).unwrap();
            let entries = StoredEntries::new(TableId(0), max.full_range(), max);
            assert_eq!(entries.hashes_of(max.full_range()), 0..1 << 32);
            for group in [0, groups / 2, groups - 1] {
                let hashes = entries.hashes_of(KeyGroupRange::new(group, group + 1));
                for (hash, inside) in [
                    (hashes.start, true),
                    (hashes.end - 1, true),
                    (hashes.start.wrapping_sub(1), false),
                    (hashes.end, false),
                ] {
                    if hash < 1 << 32 {
                        assert_eq!(max.key_group(hash).0 == group, inside, "{groups} {group} {hash}");
                    }
                }
            }
        }
    }
}
