//! Finds the ranges to read, and sees whether restored ones can still be read.

use super::split::TextFileSplit;
use crate::fingerprint::Fingerprint;
use crate::local_path::storable;
use crate::locate::{Found, verify};
use async_trait::async_trait;
use snapline_connector::{DiscoveryContext, SplitEnumerator};
use snapline_core::Result;
use std::path::{Path, PathBuf};

/// Smaller ranges are not worth the opening of the file.
const SMALLEST_RANGE: u64 = 1024 * 1024;

/// How many ranges each reader gets of one large file: enough that they end at about the same time,
/// and can be dealt out anew to more readers.
const RANGES_PER_READER: u64 = 4;

/// Looks at the files behind one path.
pub(super) struct TextFileEnumerator {
    path: PathBuf,
}

impl TextFileEnumerator {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

#[async_trait]
impl SplitEnumerator<TextFileSplit> for TextFileEnumerator {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<TextFileSplit>> {
        let ranges = RANGES_PER_READER * u64::from(context.parallelism.max(1));
        let mut splits = Vec::new();
        for path in Found::at(&self.path)?.some()?.files {
            let file = Fingerprint::of(&path)?;
            let size = file.len.div_ceil(ranges).max(SMALLEST_RANGE);
            splits.extend(TextFileSplit::cut(storable(&path)?, file, size));
        }
        Ok(splits)
    }

    async fn verify(&mut self, restored: &[TextFileSplit]) -> Result<()> {
        let files = restored.iter().map(|split| (split.path.as_str(), &split.file));
        verify(&self.path, files)
    }
}
