//! The changes of one batch, for snapshots that store what has changed.

use super::Files;
use super::sorted_file::SortedFile;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The sorted file of a batch, whether it was merged since or not. Nothing of it is in memory.
#[derive(Debug)]
pub(in crate::backend) struct BatchFile {
    bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A name of its own for the file.
    Linked(PathBuf),
    /// Where no second name can be given, the file itself.
    Held(Arc<SortedFile>),
}

impl Files {
    /// Keeps the changes of a batch.
    pub(in crate::backend) fn keep(&self, file: Arc<SortedFile>) -> BatchFile {
        let path = self.next_path();
        BatchFile {
            bytes: file.bytes(),
            place: match fs::hard_link(file.path(), &path) {
                Ok(()) => Place::Linked(path),
                Err(_) => Place::Held(file),
            },
        }
    }

    /// Opens the changes of a batch, to be read as a whole.
    pub(in crate::backend) fn open_batch(&self, batch: &BatchFile) -> io::Result<Arc<SortedFile>> {
        match &batch.place {
            Place::Linked(path) => Ok(Arc::new(self.reopen(path)?.without_filter())),
            Place::Held(file) => Ok(file.clone()),
        }
    }
}

impl BatchFile {
    pub(in crate::backend) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for BatchFile {
    fn drop(&mut self) {
        if let Place::Linked(path) = &self.place {
            let _ = fs::remove_file(path);
        }
    }
}
