//! The scratch folder of one subtask.

use snapline_core::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of its own below the configured one; it is removed when it is dropped.
///
/// While it is in use its owner holds the lock of a file in it, which the operating system drops when the process
/// ends, however it ends. Who makes a folder removes those beside it that nobody holds. On file systems without
/// locks leftovers stay.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a folder below `root`, which is made too if it is not there.
    ///
    /// # Errors
    /// `Invalid` or `Unavailable` naming the folder and the setting.
    pub(super) fn create(root: &Path, name: &str) -> Result<Self> {
        Self::try_create(root, name).map_err(|error| of_folder(root, error))
    }

    /// The folders below `root` whose names begin so and that processes have left that ended.
    pub(super) fn take_left(root: &Path, name: &str) -> io::Result<Vec<Self>> {
        let making = open_lock(&root.join(MAKING))?;
        lock(&making)?;
        let mut left = Vec::new();
        for path in folders(root, name)? {
            let lock = OpenOptions::new().append(true).open(path.join(LOCK));
            if let Ok(lock) = lock
                && lock.try_lock().is_ok()
            {
                left.push(Self { path, _lock: lock });
            }
        }
        Ok(left)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn try_create(root: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        // Between making a folder and locking it nobody may take it for a leftover.
        let making = open_lock(&root.join(MAKING))?;
        lock(&making)?;
        sweep(root)?;
        let path = make(root, name)?;
        let own = open_lock(&path.join(LOCK))?;
        lock(&own)?;
        Ok(Self { path, _lock: own })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "a scratch folder of state cannot be removed");
        }
    }
}

/// The lock of those who make folders.
const MAKING: &str = ".snapline-state.lock";
/// The lock of the owner of a folder.
const LOCK: &str = "lock";
/// How the names of scratch folders begin.
pub(super) const SCRATCH: &str = "snapline-state-";
/// How the names of folders begin that are of use to the next process.
pub(super) const KEPT: &str = "snapline-kept-";

/// Makes a folder with a name that no other process uses.
fn make(root: &Path, name: &str) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("{name}{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            // Another container with the same process id.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            outcome => return outcome.map(|()| path),
        }
    }
}

/// Removes the folders of processes that have ended.
fn sweep(root: &Path) -> io::Result<()> {
    for path in folders(root, SCRATCH)? {
        // A folder without a lock file is being removed, or was when its process was killed.
        let lock = OpenOptions::new().append(true).open(path.join(LOCK));
        let is_left = match &lock {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        if is_left {
            let _ = fs::remove_dir_all(path);
        }
    }
    Ok(())
}

/// The folders below `root` whose names begin so.
fn folders(root: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|found| found.starts_with(name));
        if is_ours && entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn lock(file: &File) -> io::Result<()> {
    match file.lock() {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        outcome => outcome,
    }
}

/// What will not pass by itself is the fault of the settings.
fn of_folder(path: &Path, error: io::Error) -> Error {
    let (message, passes) = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => ("is, or lies below, a file", false),
        ErrorKind::PermissionDenied => ("may not be written to", false),
        ErrorKind::ReadOnlyFilesystem => ("is on a read-only file system", false),
        ErrorKind::NotFound | ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            ("cannot be created", false)
        }
        _ => ("cannot be written to", true),
    };
    let message = format!(
        "the scratch folder of live state {message}; give `FileStateBackend::builder` another folder on a local disk"
    );
    let error_of = if passes {
        Error::unavailable
    } else {
        Error::invalid
    };
    error_of(message).with("folder", path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind as Kind;

    fn count(root: &Path) -> usize {
        let entries = fs::read_dir(root).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir())
            .count()
    }

    #[test]
    fn folders_in_use_stay_and_those_of_dead_processes_go() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::create(root.path(), SCRATCH).unwrap();
        let left = root.path().join(format!("{SCRATCH}1-0"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::create_dir(root.path().join("of somebody else")).unwrap();
        let second = Folder::create(root.path(), SCRATCH).unwrap();
        assert!(!left.exists() && first.path().exists() && second.path().exists());
        drop(first);
        drop(second);
        assert_eq!(count(root.path()), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_is_the_fault_of_the_settings() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Folder::create(&file.join("below"), SCRATCH).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("FileStateBackend::builder") && text.contains("below"),
            "{text}"
        );
    }
}
