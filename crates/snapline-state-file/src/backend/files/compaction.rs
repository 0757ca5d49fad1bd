//! Which files are merged, and when.

use super::merge::Run;
use super::sorted_file::SortedFile;
use super::version::Version;
use std::sync::Arc;

/// So many fresh files are merged into the first level.
const FRESH: usize = 4;
/// How many times as long as the one above a level becomes.
const RATIO: u64 = 8;
/// Into so many files a level is divided.
const PARTS: u64 = 16;
/// Files are at least this long, so that there are not too many.
const LEAST_BYTES: u64 = 1024 * 1024;

/// Files that become others in a level.
#[derive(Debug)]
pub(super) struct Work {
    /// From the newest to the oldest.
    pub(super) inputs: Vec<Run>,
    pub(super) level: usize,
    /// How long each new file becomes.
    pub(super) file_bytes: u64,
    /// Whether they only have to be moved.
    pub(super) is_move: bool,
}

/// Chooses what to merge next.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// The length of the longest batch that there was.
    batch_bytes: u64,
    /// Where in each level the last file ended that was merged into the level below.
    cursors: Vec<Box<[u8]>>,
}

impl Compaction {
    /// Expects batches of about so many bytes.
    pub(super) fn expecting(batch_bytes: u64) -> Self {
        Self {
            batch_bytes,
            ..Self::default()
        }
    }

    /// The first level that may be so long.
    pub(super) fn level_for(&self, bytes: u64) -> usize {
        (0..).find(|level| self.level_bytes(*level) >= bytes).unwrap_or(0)
    }

    /// What should be done, if anything.
    pub(super) fn choose(&mut self, version: &Version) -> Option<Work> {
        let longest = version.fresh.iter().map(|file| file.bytes()).max();
        self.batch_bytes = self.batch_bytes.max(longest.unwrap_or(0));
        if version.fresh.len() >= FRESH {
            return Some(self.merge_fresh(version));
        }
        let is_full = |level: &usize| {
            let bytes: u64 = version.levels[*level].iter().map(|file| file.bytes()).sum();
            bytes > self.level_bytes(*level)
        };
        let level = (0..version.levels.len()).find(is_full)?;
        Some(self.merge_down(version, level))
    }

    /// All fresh files, with what they overlap in the first level.
    fn merge_fresh(&self, version: &Version) -> Work {
        let mut inputs: Vec<Run> = version
            .fresh
            .iter()
            .rev()
            .map(|file| vec![file.clone()])
            .collect();
        let below = overlapping(version, 0, &version.fresh);
        let is_move = below.is_empty() && are_apart(&version.fresh);
        inputs.push(below);
        self.work(inputs, 0, is_move)
    }

    /// The next file of a level, with what it overlaps in the level below.
    fn merge_down(&mut self, version: &Version, level: usize) -> Work {
        if self.cursors.len() <= level {
            self.cursors.resize_with(level + 1, Box::default);
        }
        let run = &version.levels[level];
        let next = run.partition_point(|file| file.first() <= &*self.cursors[level]) % run.len();
        let file = run[next].clone();
        self.cursors[level] = match next + 1 == run.len() {
            true => Box::default(),
            false => file.last().into(),
        };
        let below = overlapping(version, level + 1, std::slice::from_ref(&file));
        let is_move = below.is_empty();
        self.work(vec![vec![file], below], level + 1, is_move)
    }

    fn work(&self, inputs: Vec<Run>, level: usize, is_move: bool) -> Work {
        Work {
            inputs,
            level,
            file_bytes: (self.level_bytes(level) / PARTS).max(LEAST_BYTES),
            is_move,
        }
    }

    /// How long a level may be.
    fn level_bytes(&self, level: usize) -> u64 {
        let first = (2 * FRESH as u64 * self.batch_bytes).max(LEAST_BYTES);
        first.saturating_mul(RATIO.saturating_pow(level as u32))
    }
}

/// The files of a level that may have keys of these.
fn overlapping(version: &Version, level: usize, files: &[Arc<SortedFile>]) -> Run {
    let Some(run) = version.levels.get(level) else {
        return Vec::new();
    };
    let first = files.iter().map(|file| file.first()).min();
    let last = files.iter().map(|file| file.last()).max();
    let overlaps = |file: &&Arc<SortedFile>| last >= Some(file.first()) && first <= Some(file.last());
    run.iter().filter(overlaps).cloned().collect()
}

/// Whether no two files have keys between each other's.
fn are_apart(files: &[Arc<SortedFile>]) -> bool {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|a, b| a.first().cmp(b.first()));
    sorted.windows(2).all(|pair| pair[0].last() < pair[1].first())
}
