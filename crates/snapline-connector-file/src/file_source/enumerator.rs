//! Finds files, at the start and later.

use super::Options;
use super::input::Compression;
use super::split::FileSplit;
use crate::fingerprint::Fingerprint;
use crate::local_path::{io_error, local_path, storable};
use crate::locate::{Found, verify};
use async_trait::async_trait;
use snapline_connector::{DiscoveredSplits, DiscoveryContext, SeenSplits, SplitEnumerator};
use snapline_core::Result;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Smaller ranges are not worth the opening of the file.
const SMALLEST_RANGE: u64 = 1024 * 1024;

/// How many ranges each reader gets of one large file, as of text files.
const RANGES_PER_READER: u64 = 4;

/// Looks at the files behind one path.
pub(super) struct FileEnumerator {
    options: Options,
    /// Whether files may be cut into ranges.
    cuts: bool,
}

impl FileEnumerator {
    pub(super) fn new(options: Options, cuts: bool) -> Self {
        Self { options, cuts }
    }

    /// Whether there is what says that no files come any more. Asked before the files are listed, so that none is missed.
    fn is_last_look(&self) -> Result<bool> {
        let Some(marker) = &self.options.until_exists else {
            return Ok(false);
        };
        let marker = local_path(marker)?;
        fs::exists(&marker).map_err(|error| {
            let message =
                "the path that says that all files are there cannot be looked at; check its permissions";
            io_error(message, &marker, error)
        })
    }

    fn files(&self) -> Result<Found> {
        let found = Found::at(&self.options.path)?;
        match self.options.watch {
            Some(_) => Ok(found),
            None => found.some(),
        }
    }

    fn cut(&self, path: &str, ranges: u64) -> Result<Vec<FileSplit>> {
        let file = Fingerprint::of(path.as_ref())?;
        let compression = self.options.compression.of(path);
        let size = match self.cuts && compression == Compression::None {
            true => file.len.div_ceil(ranges).max(SMALLEST_RANGE),
            false => u64::MAX,
        };
        Ok(FileSplit::cut(path, file, size, compression, self.options.order))
    }
}

#[async_trait]
impl SplitEnumerator<FileSplit> for FileEnumerator {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<FileSplit>> {
        let found = self.discover_new(context, &mut SeenSplits::default()).await?;
        Ok(found.splits)
    }

    async fn discover_new(
        &mut self,
        context: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<FileSplit>> {
        let is_last = self.is_last_look()?;
        let ranges = RANGES_PER_READER * u64::from(context.parallelism.max(1));
        let (mut splits, mut folders) = (Vec::new(), RealFolders::default());
        for path in self.files()?.files {
            let name = folders.name_of(&path);
            let path = storable(&path)?;
            if seen.insert(name.as_os_str().as_encoded_bytes()) && !self.is_marker(path)? {
                splits.extend(self.cut(path, ranges)?);
            }
        }
        Ok(match is_last {
            true => DiscoveredSplits::last(splits),
            false => DiscoveredSplits::so_far(splits),
        })
    }

    async fn verify(&mut self, restored: &[FileSplit]) -> Result<()> {
        let files = restored.iter().map(|split| (split.path.as_str(), &split.file));
        verify(&self.options.path, files)
    }
}

/// Finds the same name of a file however its folder is written, so that a job may be started in another folder.
#[derive(Default)]
struct RealFolders(HashMap<PathBuf, PathBuf>);

impl RealFolders {
    fn name_of(&mut self, path: &Path) -> PathBuf {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return path.to_owned();
        };
        if !self.0.contains_key(folder) {
            // Of a file in the folder in which the job was started, the parent is empty.
            let written = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            let real = fs::canonicalize(written).unwrap_or_else(|_| folder.to_owned());
            self.0.insert(folder.to_owned(), real);
        }
        self.0[folder].join(name)
    }
}

impl FileEnumerator {
    fn is_marker(&self, path: &str) -> Result<bool> {
        let marker = self.options.until_exists.as_ref();
        let marker = marker.map(|marker| local_path(marker)).transpose()?;
        Ok(marker.is_some_and(|marker| marker.as_path() == Path::new(path)))
    }
}
