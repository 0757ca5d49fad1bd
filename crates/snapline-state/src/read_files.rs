//! Reading state files in ranges, several at the same time.

use crate::format::block::Block;
use crate::format::block::decoder::{BlockDecoder, Checks};
use crate::handle::{StateHandle, StateLocation};
use crate::pieces::Pieces;
use crate::storage::CheckpointStorage;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use futures::stream::{self, BoxStream, StreamExt};
use snapline_core::{Error, Result};
use std::ops::Range;

/// How much is read at a time, in bytes.
pub(crate) const RANGE: u64 = if cfg!(test) { 7_000 } else { 4 << 20 };

/// So many ranges are in flight, or wait for the one before them, at the same time.
pub(crate) const IN_FLIGHT: usize = 8;

/// The next bytes of one of the files that are read.
#[derive(Debug)]
pub struct FilePart {
    /// Which file, counted from 0 in the order in which they were given.
    pub file: usize,
    /// The bytes, or why they, and all that follow in the file, are not there.
    pub content: Result<Pieces>,
    /// Whether the file ends here.
    pub is_last: bool,
}

/// Reads files from their beginnings to their ends, one after the other, with several ranges of them in flight.
///
/// In memory are at most 32 MiB, however long the files are, beside those that the process
/// [has in memory](StateHandle::is_local) anyway: these come as a whole, and are not read. The last part of a file
/// comes only when the length and the checksum of the whole are those of the handle; otherwise an error comes
/// instead: `Corrupted` naming the file when it is missing, cut short, or altered, or that of the storage. Whoever uses
/// the parts before that has to be ready to throw them away.
pub fn read_files<'a>(
    storage: &'a dyn CheckpointStorage,
    files: impl IntoIterator<Item = &'a StateHandle>,
) -> BoxStream<'a, FilePart> {
    read_files_with(storage, files, IN_FLIGHT)
}

/// The same with so many ranges in flight.
pub(crate) fn read_files_with<'a>(
    storage: &'a dyn CheckpointStorage,
    files: impl IntoIterator<Item = &'a StateHandle>,
    in_flight: usize,
) -> BoxStream<'a, FilePart> {
    let handles = files.into_iter().enumerate().collect::<Vec<_>>();
    let requests = handles
        .into_iter()
        .flat_map(move |(file, handle)| requests(storage, file, handle));
    let mut check = Check::default();
    stream::iter(requests)
        .map(move |request| fetch(storage, request))
        .buffered(in_flight)
        .filter_map(move |(request, content)| ready(check.pass(&request, content)))
        .boxed()
}

/// A block of one of the files that are read.
#[derive(Debug)]
pub struct FileBlock {
    /// Which file, counted from 0 in the order in which they were given.
    pub file: usize,
    /// The block, or why it, and all that follow in the file, cannot be read.
    pub content: Result<Block>,
}

/// Reads the blocks of files of tables, each of which is checked as it comes, as [`read_files`] reads files. A file that is
/// damaged, as a whole or in a block, ends with one error, and the next file comes.
pub fn read_blocks_of_all<'a>(
    storage: &'a dyn CheckpointStorage,
    files: impl IntoIterator<Item = &'a StateHandle>,
) -> BoxStream<'a, FileBlock> {
    let handles: Vec<&StateHandle> = files.into_iter().collect();
    let reading = Blocks {
        parts: read_files(storage, handles.iter().copied()),
        handles,
        file: 0,
        decoder: BlockDecoder::new(Checks::Blocks),
        end: End::ToCome,
    };
    stream::unfold(reading, |mut reading| async move {
        let block = reading.next().await?;
        Some((block, reading))
    })
    .boxed()
}

/// Reads the blocks of one file of tables, each of which is checked as it comes, in bounded memory.
///
/// # Errors
/// The stream ends with an error as [`read_files`] has it, or one of [`crate::BlockReader`]: after that nothing comes.
pub fn read_blocks<'a>(
    storage: &'a dyn CheckpointStorage,
    handle: &'a StateHandle,
) -> BoxStream<'a, Result<Block>> {
    read_blocks_of_all(storage, [handle])
        .map(|block| block.content)
        .boxed()
}

/// From the parts of files to their blocks.
struct Blocks<'a> {
    parts: BoxStream<'a, FilePart>,
    handles: Vec<&'a StateHandle>,
    file: usize,
    decoder: BlockDecoder,
    end: End,
}

/// How far the file is that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More parts come.
    ToCome,
    /// The last part has come.
    Come,
    /// Nothing more is told of it.
    Told,
}

impl Blocks<'_> {
    async fn next(&mut self) -> Option<FileBlock> {
        loop {
            if let Some(content) = self.decoded() {
                if content.is_err() {
                    self.end = End::Told;
                }
                let content = content.map_err(|error| named(error, self.handles[self.file]));
                return Some(FileBlock {
                    file: self.file,
                    content,
                });
            }
            let part = self.parts.next().await?;
            if part.file != self.file {
                self.file = part.file;
                self.decoder = BlockDecoder::new(Checks::Blocks);
                self.end = End::ToCome;
            }
            if self.end == End::Told {
                continue;
            }
            match part.content {
                Ok(content) => self.decoder.push(content),
                Err(error) => {
                    self.end = End::Told;
                    return Some(FileBlock {
                        file: self.file,
                        content: Err(error),
                    });
                }
            }
            if part.is_last {
                self.end = End::Come;
            }
        }
    }

    /// What the parts that have come still say.
    fn decoded(&mut self) -> Option<Result<Block>> {
        if self.end == End::Told {
            return None;
        }
        match self.decoder.next() {
            Ok(Some(block)) => return Some(Ok(block)),
            Err(error) => return Some(Err(error)),
            Ok(None) => {}
        }
        if self.end == End::Come {
            self.end = End::Told;
            return self.decoder.finish().err().map(Err);
        }
        None
    }
}

fn named(error: Error, handle: &StateHandle) -> Error {
    error.with("file", handle.name())
}

/// A range of a file, or all of it.
struct Request<'a> {
    file: usize,
    handle: &'a StateHandle,
    range: Option<Range<u64>>,
    is_last: bool,
}

fn requests<'a>(
    storage: &dyn CheckpointStorage,
    file: usize,
    handle: &'a StateHandle,
) -> impl Iterator<Item = Request<'a>> + use<'a> {
    let is_whole = !matches!(handle.location, StateLocation::File { .. }) || handle.is_local(storage);
    let count = if is_whole {
        1
    } else {
        handle.len.div_ceil(RANGE).max(1)
    };
    (0..count).map(move |number| Request {
        file,
        handle,
        range: (!is_whole).then(|| number * RANGE..handle.len.min((number + 1) * RANGE)),
        is_last: number + 1 == count,
    })
}

fn fetch<'a>(
    storage: &'a dyn CheckpointStorage,
    request: Request<'a>,
) -> BoxFuture<'a, (Request<'a>, Result<Pieces>)> {
    async move {
        let content = match &request.range {
            Some(range) => request
                .handle
                .read_range(storage, range.clone())
                .await
                .map(Pieces::from),
            None => request.handle.read_pieces(storage).await,
        };
        (request, content)
    }
    .boxed()
}

/// What is known of the file whose parts pass.
#[derive(Default)]
struct Check {
    file: usize,
    checksum: u32,
    has_failed: bool,
}

impl Check {
    /// The part, unless one before it in the same file has failed.
    fn pass(&mut self, request: &Request<'_>, content: Result<Pieces>) -> Option<FilePart> {
        if self.file != request.file {
            *self = Self {
                file: request.file,
                ..Self::default()
            };
        }
        if self.has_failed {
            return None;
        }
        let content = content.and_then(|content| self.check(request, content));
        self.has_failed = content.is_err();
        Some(FilePart {
            file: request.file,
            is_last: request.is_last || self.has_failed,
            content,
        })
    }

    fn check(&mut self, request: &Request<'_>, content: Pieces) -> Result<Pieces> {
        if request.range.is_none() {
            return Ok(content);
        }
        self.checksum = content.checksum_after(self.checksum);
        if request.is_last && self.checksum != request.handle.checksum {
            return Err(Error::corrupted("the checksum of a state file does not match")
                .with("file", request.handle.name()));
        }
        Ok(content)
    }
}

impl StateHandle {
    /// A range of the piece, counted from its beginning, of which nothing but the length is checked.
    async fn read_range(&self, storage: &dyn CheckpointStorage, range: Range<u64>) -> Result<Bytes> {
        let StateLocation::File { key, offset } = &self.location else {
            return Err(Error::internal("state in a manifest is not read in ranges"));
        };
        let all = self.range(*offset)?;
        let wanted = all.start + range.start..all.start + range.end;
        let bytes = storage.get(key, Some(wanted.clone())).await?;
        let bytes = bytes.ok_or_else(|| Error::corrupted("a state file is missing").with("file", key))?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::corrupted("a state file is too short")
                .with("file", key)
                .with("needed", wanted.end));
        }
        Ok(bytes)
    }
}
