//! What the memory of a subtask is for.

/// So many bytes, of which each purpose has its part.
///
/// What files and batches take beyond their parts is taken from the entries, so that all together stay within.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(usize);

/// What an allocator holds back, of what was freed or in blocks that are used in part: about so many bytes whatever the
/// bound, and where that is small, this part of it.
const HELD_BACK: usize = 20 << 20;
const HELD_BACK_PART: usize = 3;

/// Files, batches and buffers have this part each, whether they need it or not: the room of entries hardly changes.
const PART: usize = 8;
/// Filters of the last level take this part at the most, and those of others twice as much.
const FILTER_PART: usize = 8;
/// A merge, and a snapshot, reads this part at a time.
const READ_PART: usize = 64;
/// Blocks of a snapshot wait for the storage until they are this part.
const WINDOW_PART: usize = 128;
/// A batch of changes takes about this part of it on the disk, where entries are shorter.
const BATCH_PART: usize = 64;

impl Budget {
    /// What is left of `bytes` for what is allocated.
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes - HELD_BACK.min(bytes / HELD_BACK_PART))
    }

    /// How many bytes entries may take when files and batches take so many.
    pub(super) fn entries(self, files: usize, batches: usize) -> usize {
        let part = self.0 / PART;
        let others = part + files.clamp(part, 3 * part) + batches.clamp(part, 3 * part);
        self.0.saturating_sub(others)
    }

    /// How many bytes changes on their way to the disk should take at the most.
    pub(super) fn batches(self) -> usize {
        self.0 / PART
    }

    /// How many bytes filters may take.
    pub(super) fn filters(self) -> usize {
        self.0 / FILTER_PART
    }

    /// How many bytes are read at a time of all the files that are merged.
    pub(super) fn reading(self) -> u64 {
        (self.0 / READ_PART).clamp(64 * 1024, 1024 * 1024) as u64
    }

    /// How many bytes of a snapshot may wait for the storage.
    pub(super) fn window(self) -> usize {
        (self.0 / WINDOW_PART).clamp(64 * 1024, 1024 * 1024)
    }

    /// How long a batch is on the disk, about.
    pub(super) fn batch_on_disk(self) -> u64 {
        (self.0 / BATCH_PART) as u64
    }
}
