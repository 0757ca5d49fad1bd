//! What is to be read of a file.

use super::FileOrder;
use super::input::Compression;
use crate::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};
use snapline_connector::SourceSplit;

/// The records of a file that start in a range of its bytes, or of one that is compressed all of them, but for those that were
/// handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    /// The file, as it was found.
    pub(super) path: String,
    /// The first byte of the range; in a file that is compressed, 0.
    pub(super) next: u64,
    /// The byte after the range.
    pub(super) end: u64,
    /// How many records of a compressed file were handed out.
    pub(super) records: u64,
    pub(super) compression: Compression,
    /// What the file was.
    pub(super) file: Fingerprint,
    /// Less is read first, among those that were found together.
    rank: i64,
}

impl SourceSplit for FileSplit {
    fn weight(&self) -> u64 {
        self.end - self.next
    }
}

impl FileSplit {
    /// Cuts a file into ranges of `size` bytes, unless it is compressed; none of an empty file.
    pub(super) fn cut(
        path: &str,
        file: Fingerprint,
        size: u64,
        compression: Compression,
        order: FileOrder,
    ) -> Vec<Self> {
        let size = match compression {
            Compression::None => size.max(1),
            _ => u64::MAX,
        };
        let rank = match order {
            FileOrder::Path => 0,
            FileOrder::Modified => file.modified,
        };
        let split = |next: u64| Self {
            path: path.to_owned(),
            next,
            end: next.saturating_add(size).min(file.len),
            records: 0,
            compression,
            file,
            rank,
        };
        let starts = (0..file.len).step_by(usize::try_from(size).unwrap_or(usize::MAX));
        starts.map(split).collect()
    }

    /// Where it comes among those that were found together.
    pub(super) fn turn(&self) -> (i64, &str, u64) {
        (self.rank, &self.path, self.next)
    }
}
