//! The objects in a directory, by blocking calls.

use crate::failure::{of_folder, of_object, of_reading};
use crate::scratch::{InUse, Scratch, ScratchFile};
use bytes::Bytes;
use snapline_core::{Error, Result};
use snapline_state::{Created, StorageKey};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A directory of objects, as seen by one handle.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    /// Where objects are written; none when the directory is only read.
    scratch: Option<Scratch>,
    /// Folders whose names are known to be durable. Forgetting one costs a sync.
    durable: HashSet<PathBuf>,
}

/// How many folders are remembered; a job uses a few, but each checkpoint has its own.
const REMEMBERED: usize = 1000;

/// How often a name is tried while another process removes its empty folder at the same moment.
const ATTEMPTS: usize = 10;

impl Directory {
    /// Opens the directory, and creates it when it is missing.
    pub(crate) fn open(root: PathBuf) -> Result<(Self, InUse)> {
        let opened = create_root(&root).and_then(|()| Scratch::open(&root));
        let (scratch, in_use) = opened.map_err(|error| of_folder(&root, error))?;
        let directory = Self {
            root,
            scratch: Some(scratch),
            durable: HashSet::new(),
        };
        Ok((directory, in_use))
    }

    /// Opens a directory that is there and changes nothing in it.
    pub(crate) fn open_read_only(root: PathBuf) -> Result<Self> {
        fs::read_dir(&root).map_err(|error| of_reading(&root, error))?;
        Ok(Self {
            root,
            scratch: None,
            durable: HashSet::new(),
        })
    }

    pub(crate) fn create(&mut self, key: &StorageKey, bytes: &Bytes) -> Result<Created> {
        let mut file = self.begin()?;
        append(&mut file, bytes)?;
        sync(&file)?;
        let path = self.path(key);
        for _ in 0..ATTEMPTS {
            match self.named(&path, |path| file.link_to(path)) {
                Ok(()) => return Ok(Created::New),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(of_object("cannot create an object", &path, error)),
            }
            // The other writer may not have synced the name yet, and this call's answer rests on it.
            let stored = sync_folder(folder_of(&path)).and_then(|()| fs::read(&path));
            match stored {
                Ok(stored) if stored == *bytes => return Ok(Created::New),
                Ok(stored) => return Ok(Created::AlreadyExists(stored.into())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(of_object("cannot read an object", &path, error)),
            }
        }
        Err(
            Error::unavailable("an object is created and deleted again and again")
                .with("path", path.display()),
        )
    }

    /// A file to write an object to.
    pub(crate) fn begin(&self) -> Result<ScratchFile> {
        let file = self.scratch()?.file();
        file.map_err(|error| of_object("cannot write to the checkpoint directory", &self.root, error))
    }

    /// Makes a written file the object of this key.
    pub(crate) fn commit(&mut self, key: &StorageKey, mut file: ScratchFile) -> Result<()> {
        let path = self.path(key);
        self.named(&path, |path| file.rename_to(path))
            .map_err(|error| of_object("cannot store an object", &path, error))
    }

    pub(crate) fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let path = self.path(key);
        match read(&path, range) {
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(of_object("cannot read an object", &path, error)),
            Ok(object) => Ok(object.map(Bytes::from)),
        }
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let mut keys = Vec::new();
        match prefix.rsplit_once('/') {
            None => self.walk(None, prefix, &mut keys)?,
            Some((folder, _)) => {
                if let Ok(folder) = StorageKey::new(folder) {
                    self.walk(Some(&folder), prefix, &mut keys)?;
                }
            }
        }
        keys.retain(|key| after.is_none_or(|after| key > after));
        keys.sort_unstable();
        Ok(keys)
    }

    pub(crate) fn delete(&mut self, keys: &[StorageKey]) -> Result<()> {
        self.scratch()?;
        for key in keys {
            let path = self.path(key);
            match fs::remove_file(&path) {
                Ok(()) => self.prune(folder_of(&path)),
                Err(error) if is_missing(&error) || path.is_dir() => {}
                Err(error) => return Err(of_object("cannot delete an object", &path, error)),
            }
        }
        Ok(())
    }

    fn scratch(&self) -> Result<&Scratch> {
        self.scratch.as_ref().ok_or_else(|| {
            Error::unsupported(
                "the checkpoint directory was opened for reading; open it with `FileCheckpointStorage::open`",
            )
            .with("path", self.root.display())
        })
    }

    fn path(&self, key: &StorageKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Gives a file its name and makes the name durable.
    fn named(&mut self, path: &Path, mut name: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
        let folder = folder_of(path);
        let mut attempts = 1..ATTEMPTS;
        loop {
            let outcome = self.make_durable(folder).and_then(|()| name(path));
            match outcome {
                Err(error) if error.kind() == ErrorKind::NotFound && attempts.next().is_some() => {
                    self.durable.clear();
                }
                outcome => break outcome?,
            }
        }
        sync_folder(folder)
    }

    /// Creates a folder below the root when it is missing, and syncs its name and those above it. Also
    /// when it is there: who created it may have crashed before syncing.
    fn make_durable(&mut self, folder: &Path) -> io::Result<()> {
        if folder == self.root || self.durable.contains(folder) {
            return Ok(());
        }
        let parent = folder_of(folder);
        self.make_durable(parent)?;
        create_folder(folder)?;
        sync_folder(parent)?;
        if self.durable.len() >= REMEMBERED {
            self.durable.clear();
        }
        self.durable.insert(folder.to_owned());
        Ok(())
    }

    /// Removes a folder and those above it as far as they are empty. That may fail: the next delete tries again.
    fn prune(&mut self, mut folder: &Path) {
        while folder != self.root && fs::remove_dir(folder).is_ok() {
            self.durable.remove(folder);
            folder = folder_of(folder);
        }
    }

    /// Collects the objects at and below a folder whose keys start with `prefix`.
    fn walk(&self, folder: Option<&StorageKey>, prefix: &str, keys: &mut Vec<StorageKey>) -> Result<()> {
        let path = folder.map_or_else(|| self.root.clone(), |folder| self.path(folder));
        let failed = |error| of_object("cannot list a folder", &path, error);
        let entries = match fs::read_dir(&path) {
            Err(error) if is_missing(&error) => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Some(key) = key_of(folder, &entry) else {
                continue;
            };
            let kind = entry.file_type().map_err(failed)?;
            let text = key.as_str();
            if kind.is_dir() && (text.starts_with(prefix) || prefix.starts_with(text)) {
                self.walk(Some(&key), prefix, keys)?;
            } else if kind.is_file() && text.starts_with(prefix) {
                keys.push(key);
            }
        }
        Ok(())
    }
}

/// Writes more of an object.
pub(crate) fn append(file: &mut ScratchFile, bytes: &[u8]) -> Result<()> {
    let written = file.write(bytes);
    written.map_err(|error| of_object("cannot write an object", file.path(), error))
}

/// Makes what was written durable.
pub(crate) fn sync(file: &ScratchFile) -> Result<()> {
    let synced = file.sync();
    synced.map_err(|error| of_object("cannot sync an object", file.path(), error))
}

fn create_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = folder_of(root);
    if parent != root {
        create_root(parent)?;
    }
    create_folder(root)?;
    sync_folder(parent)
}

/// Creates a folder unless there is one; a file in its place is an error.
fn create_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match folder.is_dir() {
            true => Ok(()),
            false => Err(ErrorKind::NotADirectory.into()),
        },
        outcome => outcome,
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // On Windows folders cannot be synced; NTFS keeps names in its journal.
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A part of a file; nothing when it is a folder.
fn read(path: &Path, range: Option<Range<u64>>) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let range = range.unwrap_or(0..u64::MAX);
    let start = range.start.min(metadata.len());
    let len = range.end.min(metadata.len()).saturating_sub(start);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.seek(SeekFrom::Start(start))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether an error says that there is no file of this name: also when a part of the path is a file,
/// or the name is longer than any file's.
fn is_missing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The key of a file or folder; none for what is not the storage's, such as hidden files.
fn key_of(folder: Option<&StorageKey>, entry: &fs::DirEntry) -> Option<StorageKey> {
    let name = entry.file_name();
    let name = name.to_str()?;
    match folder {
        Some(folder) => folder.join(name).ok(),
        None => StorageKey::new(name).ok(),
    }
}
