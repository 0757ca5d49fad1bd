//! How much of the files of a subtask is in memory, and buffers that are used again.

use super::cache::BlockCache;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What all files of a subtask share; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) cache: Arc<BlockCache>,
    resident: Arc<AtomicUsize>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// How long a buffer is that is used again.
pub(super) const BUFFER: usize = 64 * 1024;

impl Shared {
    pub(super) fn new(cache: Arc<BlockCache>) -> Self {
        Self {
            cache,
            resident: Arc::default(),
            buffers: Arc::default(),
        }
    }

    /// How many bytes of files are in memory: of those that are read or written by anybody, beside buffers.
    pub(super) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Begins to count what a file takes.
    pub(super) fn count(&self) -> Resident {
        Resident {
            total: self.resident.clone(),
            bytes: 0,
        }
    }

    /// An empty buffer.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        let buffer = self.buffers().pop();
        buffer.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    /// Takes a buffer back, unless an entry has made it long. There are never more than were in use at the same time.
    pub(super) fn give_buffer(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == BUFFER {
            buffer.clear();
            self.buffers().push(buffer);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one file takes, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Resident {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Resident {
    /// It takes so many bytes now.
    pub(super) fn set(&mut self, bytes: usize) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.set(0);
    }
}
