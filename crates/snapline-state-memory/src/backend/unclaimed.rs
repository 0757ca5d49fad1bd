//! Restored tables that the operator does not want, kept encoded so that no snapshot loses them.

use snapline_core::{KeyGroupRange, MaxParallelism, Result};
use snapline_state::{BlockWriter, Entry, RestoredEntry, StoredEntries, TableId, TableMeta};
use std::collections::HashSet;

/// A run of entries ends when it is this long: copying it takes some tens of microseconds.
const RUN_BYTES: usize = 64 * 1024;

/// A table that the operator does not want; it has at least one entry.
#[derive(Debug)]
pub(super) struct UnclaimedTable {
    pub(super) meta: TableMeta,
    runs: Vec<Run>,
}

/// The entries of unclaimed tables while they come in.
#[derive(Debug)]
pub(super) struct Gathering {
    tables: Vec<Vec<Run>>,
    max_parallelism: MaxParallelism,
}

#[derive(Debug)]
struct Run {
    first_group: u32,
    last_group: u32,
    entries: u32,
    payload: Vec<u8>,
}

impl UnclaimedTable {
    /// Writes one run; `true` when it was the last.
    pub(super) fn write(&self, run: usize, table: TableId, out: &mut BlockWriter) -> bool {
        if let Some(run) = self.runs.get(run) {
            let key_groups = KeyGroupRange::new(run.first_group, run.last_group + 1);
            out.append(table, key_groups, run.entries, &run.payload);
        }
        run + 1 >= self.runs.len()
    }
}

impl Gathering {
    pub(super) fn new(max_parallelism: MaxParallelism) -> Self {
        Self {
            tables: Vec::new(),
            max_parallelism,
        }
    }

    /// Takes the entries that the unclaimed table at this position has in the next file.
    pub(super) fn take(&mut self, index: usize, stored: &StoredEntries) -> Result<()> {
        if stored.is_delta() {
            self.drop_replaced(index, stored)?;
        }
        stored.for_each(&mut |restored| {
            self.keep(index, restored);
            Ok(())
        })
    }

    /// Drops the entries that a delta removes or has again.
    fn drop_replaced(&mut self, index: usize, delta: &StoredEntries) -> Result<()> {
        let mut replaced = HashSet::new();
        delta.for_each_removed(&mut |_, key| {
            replaced.insert(key.to_vec());
            Ok(())
        })?;
        delta.for_each(&mut |restored| {
            replaced.insert(restored.entry.key.to_vec());
            Ok(())
        })?;
        let runs = self.tables.get_mut(index).into_iter().flatten();
        for run in runs {
            run.retain(|entry| !replaced.contains(entry.key))?;
        }
        Ok(())
    }

    /// Keeps an entry of the unclaimed table at this position.
    fn keep(&mut self, index: usize, restored: RestoredEntry<'_>) {
        if index >= self.tables.len() {
            self.tables.resize_with(index + 1, Vec::new);
        }
        let runs = &mut self.tables[index];
        let group = self.max_parallelism.key_group(restored.hash).0;
        match runs.last_mut() {
            Some(run) if run.payload.len() < RUN_BYTES => run.push(group, restored),
            _ => {
                let mut run = Run {
                    first_group: group,
                    last_group: group,
                    entries: 0,
                    payload: Vec::new(),
                };
                run.push(group, restored);
                runs.push(run);
            }
        }
    }

    /// The tables that have entries, `metas` saying what they are.
    pub(super) fn finish(self, metas: Vec<TableMeta>) -> Vec<UnclaimedTable> {
        metas
            .into_iter()
            .zip(self.tables)
            .map(|(meta, mut runs)| {
                runs.retain(|run| run.entries > 0);
                (meta, runs)
            })
            .filter(|(_, runs)| !runs.is_empty())
            .map(|(meta, runs)| UnclaimedTable { meta, runs })
            .collect()
    }
}

impl Run {
    fn retain(&mut self, is_wanted: impl Fn(&Entry<'_>) -> bool) -> Result<()> {
        let all = std::mem::take(&mut self.payload);
        self.entries = 0;
        for entry in Entry::iter(&all) {
            let entry = entry?;
            if is_wanted(&entry) {
                entry.append(&mut self.payload);
                self.entries += 1;
            }
        }
        Ok(())
    }

    fn push(&mut self, group: u32, restored: RestoredEntry<'_>) {
        self.first_group = self.first_group.min(group);
        self.last_group = self.last_group.max(group);
        self.entries += 1;
        restored.entry.append(&mut self.payload);
    }
}
