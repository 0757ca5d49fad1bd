//! Finds the ranges to read, and sees whether restored ones can still be read.

use super::locate::locate;
use super::split::{Fingerprint, TextFileSplit};
use async_trait::async_trait;
use snapline_connector::{DiscoveryContext, SplitEnumerator};
use snapline_core::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fs;
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
        for path in locate(&self.path)? {
            let file = Fingerprint::of(&path)?;
            let size = file.len.div_ceil(ranges).max(SMALLEST_RANGE);
            splits.extend(TextFileSplit::cut(storable(&path)?, file, size));
        }
        Ok(splits)
    }

    async fn verify(&mut self, restored: &[TextFileSplit]) -> Result<()> {
        let files: HashMap<&str, &Fingerprint> = restored
            .iter()
            .map(|split| (split.path.as_str(), &split.file))
            .collect();
        for (path, file) in &files {
            let path = Path::new(path);
            file.compare(path, &Fingerprint::of(path)?)?;
        }
        let given: HashSet<PathBuf> = locate(&self.path)?.iter().map(|path| real(path)).collect();
        match files.keys().find(|path| !given.contains(&real(Path::new(path)))) {
            None => Ok(()),
            Some(other) => Err(Error::invalid(
                "the checkpoint was taken while another input was read; give that one again, or start over",
            )
            .with("path", self.path.display())
            .with("input of the checkpoint", other)),
        }
    }
}

/// The same for every name of a file.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A checkpoint has the path as text.
fn storable(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::invalid("the name of an input file must be valid UTF-8; rename it")
            .with("path", path.display())
    })
}
