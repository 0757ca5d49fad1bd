//! Batches that wait on disk until it is their turn to go round a loop.
//!
//! The sender of a back edge never waits, so its queue is the one that nothing bounds. Above a limit, a file
//! takes the records of a batch, and what remains in the queue is a [`Spilled`] batch, a few words long. It keeps
//! its place, so neither the order nor the numbers of batches change, and a snapshot that includes it copies its
//! bytes as they are. The receiver [recalls](recall) it.
//!
//! The files have no names and are gone when the process is, however it ends: what they hold is in the
//! checkpoints as well.

use snapline_core::{AnyBatch, BoxedBatch, Error, JobSettings, Result};
use std::any::Any;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A file grows up to this; the next batch begins another. The space is free again when all batches of a file
/// have been recalled.
const FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Where the sender of a back edge puts what is too much for memory.
#[derive(Debug)]
pub(crate) struct Spill {
    limit: usize,
    folder: PathBuf,
    file: Option<SpillFile>,
    buffer: Vec<u8>,
    has_failed: bool,
}

#[derive(Debug)]
struct SpillFile {
    file: Arc<Mutex<File>>,
    len: u64,
}

/// A batch whose records are in a file.
#[derive(Debug)]
struct Spilled {
    file: Arc<Mutex<File>>,
    offset: u64,
    bytes: usize,
    records: usize,
}

impl Spill {
    /// As the settings of a job want it.
    pub(crate) fn new(settings: &JobSettings) -> Self {
        Self {
            limit: settings.loop_bytes,
            folder: settings.scratch_folder.clone().unwrap_or_else(std::env::temp_dir),
            file: None,
            buffer: Vec::new(),
            has_failed: false,
        }
    }

    /// The batch as it is to wait on a channel where so many bytes wait in memory.
    ///
    /// Without room on the disk it waits in memory, which is said once: a job that could go on should not fail.
    pub(crate) fn store(&mut self, waiting: usize, batch: BoxedBatch) -> BoxedBatch {
        if waiting < self.limit {
            return batch;
        }
        match self.write(&*batch) {
            Ok(spilled) => Box::new(spilled),
            Err(error) => {
                self.file = None;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(%error, folder = %self.folder.display(), limit = self.limit,
                        "records that go round a loop stay in memory, above loop_bytes: they cannot be written to the scratch folder");
                }
                batch
            }
        }
    }

    fn write(&mut self, batch: &dyn AnyBatch) -> Result<Spilled> {
        self.buffer.clear();
        batch.encode_into(&mut self.buffer)?;
        let file = match self.file.take_if(|file| file.len < FILE_BYTES) {
            Some(file) => file,
            None => SpillFile::create(&self.folder)?,
        };
        let (offset, bytes) = (file.len, self.buffer.len());
        at(&file.file, offset, |file| file.write_all(&self.buffer)).map_err(unwritable)?;
        let spilled = Spilled {
            file: file.file.clone(),
            offset,
            bytes,
            records: batch.len(),
        };
        self.file = Some(SpillFile {
            len: offset + bytes as u64,
            ..file
        });
        Ok(spilled)
    }
}

impl SpillFile {
    fn create(folder: &std::path::Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(unwritable)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            len: 0,
        })
    }
}

impl Spilled {
    fn read_into(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + self.bytes, 0);
        at(&self.file, self.offset, |file| file.read_exact(&mut out[start..])).map_err(|error| {
            Error::unavailable("records that wait to go round a loop cannot be read from the scratch folder")
                .because(error)
        })
    }
}

/// A batch that was taken from a back edge, with its records in memory.
///
/// # Errors
/// `Unavailable` when it is in a file that cannot be read, or the error of `decode`.
pub(crate) fn recall(
    mut batch: BoxedBatch,
    decode: impl FnOnce(&[u8]) -> Result<BoxedBatch>,
) -> Result<BoxedBatch> {
    let Some(spilled) = batch.as_any_mut().downcast_ref::<Spilled>() else {
        return Ok(batch);
    };
    let mut bytes = Vec::new();
    spilled.read_into(&mut bytes)?;
    decode(&bytes)
}

impl AnyBatch for Spilled {
    fn len(&self) -> usize {
        self.records
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn encode_into(&self, out: &mut Vec<u8>) -> Result<()> {
        self.read_into(out)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Reads or writes at a place of a file that sender and receiver share.
fn at(file: &Mutex<File>, offset: u64, work: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    work(&mut file)
}

fn unwritable(error: io::Error) -> Error {
    Error::unavailable("the scratch folder cannot be written").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::{Batch, ErrorKind};

    fn spill(limit: usize, folder: PathBuf) -> Spill {
        Spill::new(&JobSettings {
            loop_bytes: limit,
            scratch_folder: Some(folder),
            ..JobSettings::default()
        })
    }

    fn batch(first: u64, records: u64) -> BoxedBatch {
        Box::new(Batch::from(Vec::from_iter(first..first + records)))
    }

    fn numbers(batch: BoxedBatch) -> Vec<u64> {
        let decode = |bytes: &[u8]| Ok(Box::new(Batch::<u64>::decode(bytes)?) as BoxedBatch);
        let mut batch = recall(batch, decode).unwrap();
        let batch = batch.as_any_mut().downcast_mut::<Batch<u64>>().unwrap();
        batch.records.clone()
    }

    #[test]
    fn batches_above_the_limit_take_little_memory_and_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = spill(1_000, folder.path().to_owned());
        let mut waiting = 0;
        let queue: Vec<BoxedBatch> = (0..20)
            .map(|index| {
                let batch = spill.store(waiting, batch(index * 1_000, 100));
                waiting += batch.size();
                batch
            })
            .collect();
        assert!(waiting < 3_500, "{waiting}");
        for (index, batch) in (0..).zip(queue) {
            assert_eq!(batch.len(), 100);
            assert_eq!(numbers(batch), Vec::from_iter(index * 1_000..index * 1_000 + 100));
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "a file has a name"
        );
    }

    #[test]
    fn a_snapshot_has_a_spilled_batch_as_it_has_any_other() {
        let mut spill = spill(0, std::env::temp_dir());
        let encoded = |batch: &BoxedBatch| {
            let mut bytes = vec![7];
            batch.encode_into(&mut bytes).unwrap();
            bytes
        };
        let wanted = encoded(&batch(5, 9));
        assert_eq!(encoded(&spill.store(0, batch(5, 9))), wanted);
    }

    #[test]
    fn a_full_file_is_given_up_when_its_batches_are_gone() {
        let mut spill = spill(0, std::env::temp_dir());
        let mut queue = std::collections::VecDeque::new();
        let mut files = std::collections::BTreeSet::new();
        // Random numbers take nine or ten bytes each.
        let large =
            |index: u64| (0..100_000).map(move |n| (index + n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for index in 0..100 {
            queue.push_back(spill.store(0, Box::new(Batch::from(Vec::from_iter(large(index))))));
            if queue.len() > 3 {
                let oldest = queue.pop_front().unwrap();
                assert_eq!(numbers(oldest), Vec::from_iter(large(index - 3)));
            }
            let file = spill.file.as_ref().unwrap();
            files.insert(Arc::as_ptr(&file.file));
            assert!(file.len < FILE_BYTES + 1_000_000 && Arc::strong_count(&file.file) <= 5);
        }
        assert!(files.len() > 1, "one file grows for ever");
    }

    #[test]
    fn without_a_disk_batches_wait_in_memory() {
        let mut spill = spill(0, PathBuf::from("/there/is/no/such/folder"));
        for _ in 0..2 {
            assert_eq!(spill.store(0, batch(1, 3)).size(), 24);
        }
        assert!(spill.has_failed);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error_and_no_panic() {
        let mut spill = spill(0, std::env::temp_dir());
        let batch = spill.store(0, batch(1, 3));
        let file = spill.file.as_ref().unwrap();
        file.file.lock().unwrap().set_len(2).unwrap();
        let error = recall(batch, |_| unreachable!()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
