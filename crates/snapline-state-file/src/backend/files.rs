//! Sorted files: all entries of one subtask, as of its last batch of changes.
//!
//! Made for what this backend does with them, so that it is less than a database: one thread writes, whole batches in
//! order; there is no journal; what is read comes from one block, into a buffer that is used again. Nothing is held in memory but
//! the index of each file and its filter, whose bytes are counted, and the shared cache of blocks.

mod batch_file;
mod block;
mod cache;
mod compaction;
mod disk;
mod filter;
mod loading;
mod merge;
mod resident;
mod sorted_file;
mod version;
mod writer;

pub(super) use batch_file::BatchFile;
pub(super) use cache::BlockCache;
#[cfg(test)]
pub(super) use disk::Disk as TestDisk;
pub(super) use loading::Loading;
pub(super) use merge::{EntryRef, Merged, Removed};
pub(super) use sorted_file::SortedFile;
pub(super) use version::Version;

use super::budget::Budget;
use super::change::Change;
use super::shelf::KeptFile;
use compaction::{Compaction, Work};
use disk::Disk;
use resident::Shared;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use writer::FileWriter;

/// The files of one subtask. One thread changes them, others see whole versions.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    shared: Shared,
    budget: Budget,
    disk: Disk,
    version: Mutex<Arc<Version>>,
    compaction: Mutex<Compaction>,
    changes: AtomicU64,
    next: AtomicU64,
}

impl Files {
    /// Begins with nothing, in a folder that is there.
    pub(super) fn new(folder: PathBuf, cache: Arc<BlockCache>, budget: Budget) -> Self {
        Self {
            folder,
            shared: Shared::new(cache),
            budget,
            disk: Disk::default(),
            version: Mutex::default(),
            compaction: Mutex::new(Compaction::expecting(budget.batch_on_disk())),
            changes: AtomicU64::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// What memory there is.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// How often there was another version: who has the last one need not ask for it.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The files of this moment.
    pub(super) fn version(&self) -> Arc<Version> {
        lock(&self.version).clone()
    }

    /// How long they are.
    pub(super) fn bytes(&self) -> u64 {
        self.version().bytes()
    }

    /// How many bytes of them, and of those that are being written or still read, are in memory, beside the cache.
    pub(super) fn resident(&self) -> usize {
        self.shared.resident()
    }

    /// All entries of this moment from a key on.
    pub(super) fn entries(&self, from: &[u8]) -> io::Result<Merged> {
        let runs = self.version().runs();
        Merged::new(runs, from, Removed::LeftOut, self.budget.reading())
    }

    /// What batches, from the oldest to the newest, say together.
    pub(super) fn merge_batches(&self, batches: &[Arc<SortedFile>]) -> io::Result<Merged> {
        let runs = batches.iter().rev().map(|file| vec![file.clone()]);
        Merged::new(runs.collect(), &[], Removed::Kept, self.budget.reading())
    }

    /// Where they are written.
    #[cfg(test)]
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Writes changes that are in order, at least one, and are seen as a whole or not at all.
    pub(super) fn write(&self, changes: &[Change]) -> io::Result<Arc<SortedFile>> {
        let mut writer = self.begin(Some(changes.len() as u64))?;
        for change in changes {
            writer.push(&change.key, change.value.as_deref())?;
        }
        let last = changes.last().map_or(&[][..], |change| &change.key);
        let file = writer.finish(last)?;
        let mut version = Version::clone(&self.version());
        version.fresh.push(file.clone());
        self.publish(version);
        Ok(file)
    }

    /// Begins with files that were kept, by new names for them.
    pub(super) fn adopt(&self, kept: &[KeptFile]) -> io::Result<()> {
        let mut version = Version::default();
        for (level, len, path) in kept {
            let file = self.reopen(path)?;
            if file.bytes() != *len {
                return Err(io::ErrorKind::InvalidData.into());
            }
            version.push(*level, Arc::new(file));
        }
        self.publish(version);
        Ok(())
    }

    /// Opens a file that is there, by a new name for it.
    fn reopen(&self, path: &Path) -> io::Result<SortedFile> {
        let own = self.next_path();
        fs::hard_link(path, &own)?;
        SortedFile::open(own, self.shared.clone())
    }

    /// Merges files until there is no reason to. What was merged is seen even if the rest fails.
    pub(super) fn compact(&self) -> io::Result<()> {
        loop {
            let version = self.version();
            let Some(work) = lock(&self.compaction).choose(&version) else {
                return Ok(());
            };
            let gone: Vec<_> = work.inputs.iter().flatten().cloned().collect();
            let level = work.level;
            let new = match work.is_move {
                true => gone.clone(),
                false => self.merge(&version, work)?,
            };
            self.publish(version.replaced(&gone, level, new));
        }
    }

    fn merge(&self, version: &Version, work: Work) -> io::Result<Vec<Arc<SortedFile>>> {
        let files = || work.inputs.iter().flatten();
        let (entries, bytes) = files().fold((0, 0), |(entries, bytes), file| {
            (entries + file.entries(), bytes + file.bytes())
        });
        let is_last = version.is_last(work.level);
        let removed = match is_last {
            true => Removed::LeftOut,
            false => Removed::Kept,
        };
        // As many keys as a file of this length would have, and some more as lengths differ.
        let in_file =
            entries.min(entries.saturating_mul(work.file_bytes + work.file_bytes / 8) / bytes.max(1) + 1);
        // The last level has most of the entries; without a filter, looking for a key that is new reads a block.
        let most = match is_last {
            true => self.budget.filters(),
            false => 2 * self.budget.filters(),
        };
        let has_filter = version.filter_bytes() < most;
        let mut merged = Merged::new(work.inputs, &[], removed, self.budget.reading())?;
        let mut done = Vec::new();
        let mut writing: Option<FileWriter> = None;
        let mut last = Vec::new();
        while let Some((key, value)) = merged.next_entry()? {
            if writing
                .as_ref()
                .is_some_and(|writer| writer.written() >= work.file_bytes)
                && let Some(writer) = writing.take()
            {
                done.push(writer.finish(&last)?);
            }
            let writer = match &mut writing {
                Some(writer) => writer,
                none => none.insert(self.begin(has_filter.then_some(in_file))?),
            };
            writer.push(key, value)?;
            last.clear();
            last.extend_from_slice(key);
        }
        if let Some(writer) = writing {
            done.push(writer.finish(&last)?);
        }
        Ok(done)
    }

    fn begin(&self, filter_for: Option<u64>) -> io::Result<FileWriter> {
        FileWriter::create(&self.disk, self.next_path(), filter_for, self.shared.clone())
    }

    fn next_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(number.to_string())
    }

    fn publish(&self, version: Version) {
        *lock(&self.version) = Arc::new(version);
        self.changes.fetch_add(1, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
