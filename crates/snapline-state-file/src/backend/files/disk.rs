//! All that is written to the scratch folder goes through here, so that a test can let the disk be full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The disk of a scratch folder; clones are the same.
#[derive(Debug, Clone, Default)]
pub(in crate::backend) struct Disk {
    #[cfg(test)]
    room: test::Room,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: File,
    #[cfg(test)]
    room: test::Room,
}

impl Disk {
    /// Makes a file that is not there yet, to be written and then read.
    pub(super) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        #[cfg(test)]
        self.room.take()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(DiskFile {
            file,
            #[cfg(test)]
            room: self.room.clone(),
        })
    }
}

impl DiskFile {
    /// The file, all of which is written.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        self.room.take()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// How many writes there is room for.
    #[derive(Debug, Clone)]
    pub(super) struct Room(Arc<AtomicU64>);

    impl Default for Room {
        fn default() -> Self {
            Self(Arc::new(AtomicU64::new(u64::MAX)))
        }
    }

    impl Room {
        pub(super) fn take(&self) -> io::Result<()> {
            let left = self
                .0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.map(drop).map_err(|_| io::ErrorKind::StorageFull.into())
        }
    }

    impl Disk {
        /// Leaves room for so many writes.
        pub(in crate::backend) fn set_room(&self, writes: u64) {
            self.room.0.store(writes, Ordering::SeqCst);
        }

        /// For how many writes there is room.
        pub(in crate::backend) fn room(&self) -> u64 {
            self.room.0.load(Ordering::SeqCst)
        }
    }
}
