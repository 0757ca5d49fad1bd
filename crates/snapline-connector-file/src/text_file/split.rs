//! A range of a file.

use crate::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};
use snapline_connector::SourceSplit;

/// The lines of a file that start in a range of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFileSplit {
    /// The file, as it was found.
    pub(super) path: String,
    /// The first byte of the range, which need not be the first of a line.
    pub(super) next: u64,
    /// The byte after the range.
    pub(super) end: u64,
    /// What the file was.
    pub(super) file: Fingerprint,
}

impl SourceSplit for TextFileSplit {
    fn weight(&self) -> u64 {
        self.end - self.next
    }
}

impl TextFileSplit {
    /// Cuts a file into ranges of `size` bytes; none for an empty file.
    pub(super) fn cut(path: &str, file: Fingerprint, size: u64) -> Vec<Self> {
        let starts = (0..file.len).step_by(usize::try_from(size.max(1)).unwrap_or(usize::MAX));
        let split = |next: u64| Self {
            path: path.to_owned(),
            next,
            end: next.saturating_add(size.max(1)).min(file.len),
            file,
        };
        starts.map(split).collect()
    }
}
