//! What this process has prepared and not begun to publish, so that a commit need not fetch it again.

use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many bytes are kept at the most, by all writers of a sink.
const ROOM: usize = 64 * 1024 * 1024;

/// Parts by their names.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    chunks: HashMap<String, Option<Vec<Bytes>>>,
    bytes: usize,
}

impl Waiting {
    /// Keeps a part that was prepared; without its chunks when they are too many.
    pub(super) fn put(&self, name: String, chunks: Vec<Bytes>) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let len: usize = chunks.iter().map(Bytes::len).sum();
        let fits = parts.bytes + len <= ROOM;
        if fits {
            parts.bytes += len;
        }
        parts.chunks.insert(name, fits.then_some(chunks));
    }

    /// Takes a part away before it is published. `None` when it was not prepared here, or may have been published already;
    /// `Some(None)` when only its chunks have to be fetched.
    pub(super) fn take(&self, name: &str) -> Option<Option<Vec<Bytes>>> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = parts.chunks.remove(name)?;
        let len: usize = taken.iter().flatten().map(Bytes::len).sum();
        parts.bytes -= len;
        Some(taken)
    }

    /// Forgets all: the job restarts.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Parts::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_there_once_and_without_chunks_when_there_is_no_room() {
        let waiting = Waiting::default();
        waiting.put("one".to_owned(), vec![vec![0; ROOM].into()]);
        waiting.put("two".to_owned(), vec![vec![0; 1].into()]);
        assert_eq!(waiting.take("two"), Some(None));
        assert_eq!(waiting.take("two"), None);
        assert_eq!(waiting.take("one").flatten().map(|chunks| chunks.len()), Some(1));
        waiting.put("three".to_owned(), vec![vec![0; ROOM].into()]);
        assert!(waiting.take("three").flatten().is_some());
    }
}
