//! Writes the files of one subtask, up to the point where they wait for their checkpoint.

use super::FileSinkPart;
use super::bucket::ROOT;
use super::directory::Directory;
use super::open_parts::OpenParts;
use super::part_file::PartFile;
use futures::future::{BoxFuture, FutureExt};
use snapline_connector::{Buckets, RecordEncoder, SinkWriter, WriterContext};
use snapline_core::{Batch, CheckpointId, Result};

pub(super) struct FileWriter<T> {
    directory: Directory,
    encode: RecordEncoder<T>,
    buckets: Option<Buckets<T>>,
    roll_at: u64,
    parts: OpenParts,
    /// Files that are long enough, of the coming checkpoint.
    sealed: Vec<PartFile>,
}

impl<T> FileWriter<T> {
    pub(super) fn new(
        directory: Directory,
        encode: RecordEncoder<T>,
        buckets: Option<Buckets<T>>,
        roll_at: u64,
        context: &WriterContext,
    ) -> Self {
        Self {
            parts: OpenParts::new(directory.clone(), context),
            directory,
            encode,
            buckets,
            roll_at,
            sealed: Vec::new(),
        }
    }
}

impl<T> SinkWriter<T, FileSinkPart> for FileWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let Self {
            encode,
            parts,
            sealed,
            roll_at,
            ..
        } = self;
        let mut append = |bucket: &str, records: &[T]| {
            let encoded = |buffer: &mut Vec<u8>| encode.append(records, buffer);
            sealed.extend(parts.append(bucket, *roll_at, encoded)?);
            Ok(())
        };
        match &self.buckets {
            Some(buckets) => buckets.divide(&batch.records, append)?,
            None => append(ROOT, &batch.records)?,
        }
        batch.clear();
        Ok(())
    }

    /// The task only hands its files over; what is still in buffers is written by the future.
    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<FileSinkPart>>>> {
        let mut files = std::mem::take(&mut self.sealed);
        files.extend(self.parts.take());
        let directory = self.directory.clone();
        Ok(async move { publish(&directory, files, checkpoint) }.boxed())
    }
}

/// Makes files durable under the names that their checkpoint refers to.
fn publish(
    directory: &Directory,
    files: Vec<PartFile>,
    checkpoint: CheckpointId,
) -> Result<Vec<FileSinkPart>> {
    let parts: Vec<_> = files
        .into_iter()
        .map(|file| file.publish(directory, checkpoint))
        .collect::<Result<_>>()?;
    if !parts.is_empty() {
        directory.sync()?;
    }
    Ok(parts)
}
