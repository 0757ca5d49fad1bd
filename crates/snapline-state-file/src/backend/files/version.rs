//! Which files there are at one moment.
//!
//! Batches of changes come as *fresh* files, whose keys overlap. Below them are levels: in each the files
//! follow each other in the order of their keys, and each is some times as long as the one above (O'Neil et al. 1996,
//! as LevelDB does it). What is above is newer.

use super::merge::Run;
use super::sorted_file::SortedFile;
use byteview::ByteView;
use snapline_core::stable_hash_bytes;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Files, none of which ever changes.
#[derive(Debug, Clone, Default)]
pub(in crate::backend) struct Version {
    /// From the oldest to the newest.
    pub(super) fresh: Vec<Arc<SortedFile>>,
    pub(super) levels: Vec<Run>,
}

impl Version {
    /// What is stored for a key, if it was not removed. Blocks are read into `buffer`.
    pub(in crate::backend) fn get(&self, key: &[u8], buffer: &mut Vec<u8>) -> io::Result<Option<ByteView>> {
        let hash = stable_hash_bytes(key);
        let in_levels = self.levels.iter().filter_map(|level| {
            let at = level.partition_point(|file| file.last() < key);
            level.get(at)
        });
        for file in self.fresh.iter().rev().chain(in_levels) {
            if file.may_have(key, hash)
                && let Some(found) = file.get(key, buffer)?
            {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// All runs, from the newest to the oldest.
    pub(super) fn runs(&self) -> Vec<Run> {
        let fresh = self.fresh.iter().rev().map(|file| vec![file.clone()]);
        fresh.chain(self.levels.iter().cloned()).collect()
    }

    /// All files, each with its level; fresh ones have none.
    pub(in crate::backend) fn files(&self) -> impl Iterator<Item = (Option<usize>, &Arc<SortedFile>)> {
        let levels = self.levels.iter().enumerate();
        let in_levels = levels.flat_map(|(level, run)| run.iter().map(move |file| (Some(level), file)));
        self.fresh.iter().map(|file| (None, file)).chain(in_levels)
    }

    /// Gives all files names in another folder, from 0 on; their levels and lengths.
    pub(in crate::backend) fn link_to(&self, folder: &Path) -> io::Result<Vec<(Option<u32>, u64)>> {
        let files = self.files().enumerate();
        files
            .map(|(number, (level, file))| {
                fs::hard_link(file.path(), folder.join(number.to_string()))?;
                Ok((level.map(|level| level as u32), file.bytes()))
            })
            .collect()
    }

    /// Adds a file, the newest of its level and the last in it.
    pub(super) fn push(&mut self, level: Option<usize>, file: Arc<SortedFile>) {
        let Some(level) = level else {
            return self.fresh.push(file);
        };
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push(file);
    }

    /// How long all files are.
    pub(super) fn bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.bytes()).sum()
    }

    /// How many bytes of memory their filters take.
    pub(super) fn filter_bytes(&self) -> usize {
        self.files().map(|(_, file)| file.filter_bytes()).sum()
    }

    /// Whether files below this level have entries.
    pub(super) fn is_last(&self, level: usize) -> bool {
        self.levels.iter().skip(level + 1).all(Vec::is_empty)
    }

    /// The same without some files and with others in a level.
    pub(super) fn replaced(&self, gone: &[Arc<SortedFile>], level: usize, new: Run) -> Self {
        let stays = |file: &Arc<SortedFile>| !gone.iter().any(|gone| Arc::ptr_eq(gone, file));
        let staying = |run: &Run| run.iter().filter(|file| stays(file)).cloned().collect();
        let mut levels: Vec<Run> = self.levels.iter().map(staying).collect();
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].extend(new);
        levels[level].sort_by(|a, b| a.first().cmp(b.first()));
        Self {
            fresh: staying(&self.fresh),
            levels,
        }
    }
}
