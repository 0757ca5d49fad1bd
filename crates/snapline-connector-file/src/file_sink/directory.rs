//! The directory of a sink.

use super::bucket::{self, ROOT};
use super::name::{Part, Stage};
use crate::local_path::{io_error, local_path};
use snapline_core::{Error, JobId, OperatorUid, Result};
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Says whose directory it is.
const OWNER: &str = ".part-owner";

/// A directory to which a sink writes.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    path: PathBuf,
    suffix: String,
    /// Whether files may be in folders below.
    has_buckets: bool,
}

impl Directory {
    /// The directory at a path or a `file:///` URL, which need not exist yet.
    pub(super) fn at(given: &Path, suffix: &str, has_buckets: bool) -> Result<Self> {
        Ok(Self {
            path: local_path(given)?,
            suffix: suffix.to_owned(),
            has_buckets,
        })
    }

    /// Creates the directory when it does not exist, and tries to write to it.
    ///
    /// # Errors
    /// What keeps it from being written to, naming it.
    pub(super) fn open(&self, probe: &str) -> Result<()> {
        let probe = self.join(&format!(".part-probe-{probe}"));
        create(&self.path)
            .and_then(|()| File::create(&probe))
            .and_then(|_| fs::remove_file(&probe))
            .map_err(|error| io_error(remedy(&error), &self.path, error))
    }

    /// Whether there is certainly nothing of this name.
    pub(super) fn is_missing(&self) -> bool {
        fs::metadata(&self.path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The name of a file of this directory.
    pub(super) fn name(&self, part: Part, stage: Stage) -> String {
        part.name(stage, &self.suffix)
    }

    /// The files that sinks have written, by their names, also those in buckets.
    pub(super) fn parts(&self) -> Result<Vec<(String, Part, Stage)>> {
        let mut parts = Vec::new();
        let mut buckets = vec![ROOT.to_owned()];
        while let Some(bucket) = buckets.pop() {
            self.list(&bucket, &mut parts, &mut buckets)?;
        }
        Ok(parts)
    }

    /// Adds the files of a bucket, and the buckets below it.
    fn list(
        &self,
        bucket: &str,
        parts: &mut Vec<(String, Part, Stage)>,
        buckets: &mut Vec<String>,
    ) -> Result<()> {
        let path = self.folder(bucket);
        let unreadable = |error| io_error("the output directory cannot be listed", &path, error);
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some((part, stage)) = Part::parse(name, &self.suffix) {
                parts.push((bucket::join(bucket, name), part, stage));
            } else if self.has_buckets && is_bucket(&entry, name).map_err(unreadable)? {
                buckets.push(bucket::join(bucket, name));
            }
        }
        Ok(())
    }

    fn folder(&self, bucket: &str) -> PathBuf {
        match bucket {
            ROOT => self.path.clone(),
            bucket => self.join(bucket),
        }
    }

    /// Creates the folder of a bucket when it does not exist.
    pub(super) fn create_bucket(&self, bucket: &str) -> Result<()> {
        let path = self.folder(bucket);
        create(&path).map_err(|error| io_error("the folder of a bucket cannot be created", &path, error))
    }

    /// Removes a file that may be gone already.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(io_error("an output file cannot be removed", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Makes names that were given and taken survive a crash of the machine.
    pub(super) fn sync(&self) -> Result<()> {
        self.sync_bucket(ROOT)
    }

    /// The same for those in a bucket.
    pub(super) fn sync_bucket(&self, bucket: &str) -> Result<()> {
        let path = self.folder(bucket);
        sync(&path).map_err(|error| io_error("the output directory cannot be synced", &path, error))
    }

    /// Whose directory it is, if it is anybody's.
    pub(super) fn owner(&self) -> Result<Option<Owner>> {
        let path = self.join(OWNER);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Owner(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(
                "the owner of the output directory cannot be read",
                &path,
                error,
            )),
        }
    }

    /// Fails unless the directory is this owner's or nobody's.
    ///
    /// # Errors
    /// `Invalid` naming both.
    pub(super) fn check_owner(&self, owner: &Owner) -> Result<()> {
        match self.owner()? {
            Some(other) if other != *owner => Err(Error::invalid(
                "the output directory belongs to another sink; give each sink a directory of its own, or \
                 remove the file .part-owner if that sink is no longer used",
            )
            .with("path", self.path.display())
            .with("owner", &other.0)
            .with("this sink", &owner.0)),
            _ => Ok(()),
        }
    }

    /// Makes it this owner's directory.
    pub(super) fn take(&self, owner: &Owner) -> Result<()> {
        let path = self.join(OWNER);
        let new = self.join(".part-owner-new");
        fs::write(&new, &owner.0)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|error| {
                io_error(
                    "the owner of the output directory cannot be written",
                    &path,
                    error,
                )
            })
    }
}

/// What keeps a directory from being written to, and what to do about it.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "the output directory is, or lies below, a file; choose another path"
        }
        ErrorKind::PermissionDenied => {
            "no permission to write to the output directory; allow it or choose another path"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the output directory is on a read-only file system; choose another path"
        }
        ErrorKind::NotFound | ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            "the output directory cannot be created; choose another path"
        }
        _ => "cannot write to the output directory",
    }
}

/// A sink of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner(String);

impl Owner {
    pub(super) fn new(job: &JobId, operator: &OperatorUid) -> Self {
        Self(format!("operator {operator} of job {job}"))
    }
}

/// Creates a directory when it does not exist. New ones survive a crash of the machine once the directories that have
/// them are synced.
fn create(directory: &Path) -> io::Result<()> {
    let ancestors = directory.ancestors();
    let missing: Vec<&Path> = ancestors.take_while(|path| !path.exists()).collect();
    fs::create_dir_all(directory)?;
    missing.iter().filter_map(|path| path.parent()).try_for_each(sync)
}

/// Whether a folder may have files of the sink to which the directory belongs that has it.
fn is_bucket(entry: &DirEntry, name: &str) -> io::Result<bool> {
    let is_own = !name.starts_with('.') && entry.file_type()?.is_dir();
    Ok(is_own && !entry.path().join(OWNER).try_exists()?)
}

fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(()); // Windows cannot open a directory as a file, and keeps names by itself.
    }
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    File::open(directory)?.sync_all()
}
