//! Files that are being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of files that are not objects yet.
///
/// A crash leaves files here. Every open storage holds a shared lock on one file of the folder; who
/// gets the exclusive lock while opening is alone, so whatever is here has no owner and is removed. The
/// operating system drops the locks of a process that ends. On file systems without locks leftovers stay.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
}

/// The shared lock of an open storage, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse {
    _lock: File,
}

impl Scratch {
    /// Opens the folder below `root`, and tidies it up when nobody else uses it.
    pub(crate) fn open(root: &Path) -> io::Result<(Self, InUse)> {
        let folder = root.join(".tmp");
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            outcome => outcome?,
        }
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(LOCK))?;
        if lock.try_lock().is_ok() {
            sweep(&folder)?;
            lock.unlock()?;
        }
        match lock.lock_shared() {
            Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        let scratch = Self { folder };
        scratch.probe()?;
        Ok((scratch, InUse { _lock: lock }))
    }

    /// A new file with a name that no other process uses.
    pub(crate) fn file(&self) -> io::Result<ScratchFile> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                // Another container with the same process id, or a leftover of one.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                outcome => {
                    return outcome.map(|file| ScratchFile {
                        file,
                        path,
                        renamed: false,
                    });
                }
            }
        }
    }

    /// Sees whether files can be written and linked here, and a second link is refused.
    fn probe(&self) -> io::Result<()> {
        let (mut first, second) = (self.file()?, self.file()?);
        first.write(b"probe")?;
        first.sync()?;
        match first.link_to(&second.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            outcome => return outcome.and(Err(ErrorKind::Unsupported.into())),
        }
        let path = second.path.clone();
        drop(second);
        let linked = first.link_to(&path);
        let _ = fs::remove_file(path);
        linked.map_err(|error| match error.kind() {
            // What Linux says on file systems without hard links.
            ErrorKind::PermissionDenied => ErrorKind::Unsupported.into(),
            _ => error,
        })
    }
}

const LOCK: &str = "lock";

fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A file that is being written; dropping it removes it.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl ScratchFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes the content durable, not the name.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives the file a second name, unless the name is taken.
    pub(crate) fn link_to(&self, path: &Path) -> io::Result<()> {
        fs::hard_link(&self.path, path)
    }

    /// Gives the file another name, taking it from the file that has it.
    pub(crate) fn rename_to(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}
