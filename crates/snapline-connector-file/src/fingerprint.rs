//! How a changed file is noticed.

use crate::local_path::io_error;
use serde::{Deserialize, Serialize};
use snapline_core::{Error, Result, stable_hash_bytes};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What tells a file from a changed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// The length in bytes.
    pub(crate) len: u64,
    /// The time of the last change in nanoseconds since the Unix epoch; 0 if it is not known.
    pub(crate) modified: i64,
    /// Of the first and the last [`SAMPLE`] bytes.
    checksum: u64,
}

const SAMPLE: u64 = 4 * 1024;

impl Fingerprint {
    /// Looks at a file.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let message = "the input file cannot be read; check that it exists and its permissions";
        Self::read(path).map_err(|error| io_error(message, path, error))
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut sample = Vec::new();
        (&file).take(SAMPLE).read_to_end(&mut sample)?;
        file.seek(SeekFrom::Start(metadata.len().saturating_sub(SAMPLE)))?;
        file.take(SAMPLE).read_to_end(&mut sample)?;
        Ok(Self {
            len: metadata.len(),
            modified: modified(&metadata),
            checksum: stable_hash_bytes(&sample),
        })
    }

    /// Compares what can be known without reading the file.
    ///
    /// # Errors
    /// `Invalid` naming the difference.
    pub(crate) fn check(&self, path: &Path, now: &Metadata) -> Result<()> {
        let now = Self {
            len: now.len(),
            modified: modified(now),
            checksum: self.checksum,
        };
        self.compare(path, &now)
    }

    /// Compares everything.
    ///
    /// # Errors
    /// `Invalid` naming the difference.
    pub(crate) fn compare(&self, path: &Path, now: &Self) -> Result<()> {
        let (what, then, now) = if self.len != now.len {
            ("length in bytes", self.len.to_string(), now.len.to_string())
        } else if self.checksum != now.checksum {
            let hex = |checksum| format!("{checksum:016x}");
            (
                "checksum of its beginning and end",
                hex(self.checksum),
                hex(now.checksum),
            )
        } else if self.modified != now.modified {
            let seconds =
                |nanos: i64| format!("{}.{:09} s", nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
            ("time of change", seconds(self.modified), seconds(now.modified))
        } else {
            return Ok(());
        };
        Err(Error::invalid(
            "an input file has changed since the job began to read it, so that the rest cannot be read \
             exactly once; restore the file, or start over",
        )
        .with("path", path.display())
        .with("difference", what)
        .with("then", then)
        .with("now", now))
    }
}

const NANOS: i64 = 1_000_000_000;

fn modified(metadata: &Metadata) -> i64 {
    let nanos = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos())
            .ok()
            .map(|nanos| -nanos),
    };
    metadata.modified().ok().and_then(nanos).unwrap_or(0)
}
