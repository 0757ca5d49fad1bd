//! From bytes that come piece by piece to blocks.

use super::header::{END, ENTRIES, HEADER_LEN, Header, META, REMOVED};
use super::{Block, TableMeta};
use crate::format::compression::decompress;
use crate::format::envelope::{ENVELOPE_LEN, Envelope, FileKind};
use crate::pieces::Pieces;
use bytes::Bytes;
use snapline_core::{Codec, Error, Result};

/// Takes the bytes of a file as they come and hands its blocks out as soon as they are whole.
///
/// In memory are the bytes that were not handed out, so that a reader that asks for all blocks after each piece
/// holds one block and one piece.
#[derive(Debug)]
pub(crate) struct BlockDecoder {
    rest: Pieces,
    checks: Checks,
    /// Once the envelope was read.
    codec: Option<Codec>,
    /// That of a block whose payload is not there yet.
    header: Option<[u8; HEADER_LEN]>,
    is_ended: bool,
}

/// What a reader looks at besides the shape of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// The checksum of each block.
    Blocks,
    /// Nothing: the file was checked as a whole.
    None,
}

impl BlockDecoder {
    pub(crate) fn new(checks: Checks) -> Self {
        Self {
            rest: Pieces::default(),
            checks,
            codec: None,
            header: None,
            is_ended: false,
        }
    }

    /// More of the file.
    pub(crate) fn push(&mut self, bytes: Pieces) {
        self.rest.append(bytes);
    }

    /// The next block; `None` when more of the file is needed, or it has ended.
    ///
    /// # Errors
    /// `Corrupted` when the file is damaged; `Unsupported`, see [`Envelope::decode`] and [`crate::check_codec`].
    pub(crate) fn next(&mut self) -> Result<Option<Block>> {
        if self.is_ended {
            return Ok(None);
        }
        self.begin()?;
        let Some(codec) = self.codec else {
            return Ok(None);
        };
        let Some((header, payload)) = self.take_block()? else {
            return Ok(None);
        };
        if header.kind == END {
            self.is_ended = true;
            return Ok(None);
        }
        let payload = match header.is_compressed {
            true => decompress(codec, &payload)?,
            false => payload,
        };
        block(&header, payload).map(Some)
    }

    /// Says whether the file was whole.
    ///
    /// # Errors
    /// `Corrupted` when its end is missing.
    pub(crate) fn finish(&self) -> Result<()> {
        match (self.is_ended, self.codec) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(Error::corrupted("a state file ends in the middle of a block")),
            (false, None) => Envelope::decode(&self.rest.clone().into_bytes()).map(drop),
        }
    }

    /// Reads the envelope, if it is there.
    ///
    /// # Errors
    /// See [`Envelope::decode`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        if self.codec.is_none()
            && let Some(bytes) = self.rest.split_to(ENVELOPE_LEN)
        {
            let envelope = Envelope::decode(&bytes)?;
            if envelope.kind != FileKind::KeyedState {
                return Err(Error::corrupted("a file of keyed state holds something else"));
            }
            self.codec = Some(envelope.codec);
        }
        Ok(())
    }

    fn take_block(&mut self) -> Result<Option<(Header, Bytes)>> {
        if self.header.is_none() {
            let bytes = self.rest.split_to(HEADER_LEN);
            self.header = bytes.and_then(|bytes| bytes.first_chunk().copied());
        }
        let Some(bytes) = self.header else {
            return Ok(None);
        };
        let header = Header::decode(&bytes);
        let Some(payload) = self.rest.split_to(header.len as usize) else {
            return Ok(None);
        };
        if self.checks == Checks::Blocks {
            header.check(&bytes, &payload)?;
        }
        self.header = None;
        Ok(Some((header, payload)))
    }
}

fn block(header: &Header, payload: Bytes) -> Result<Block> {
    let (table, key_groups) = (header.table, header.key_groups);
    match header.kind {
        META => Ok(Block::Meta(table, parse_meta(&payload)?)),
        REMOVED if header.entries > 0 => Ok(Block::Removed {
            table,
            key_groups,
            keys: header.entries,
            payload,
        }),
        ENTRIES if header.entries > 0 => Ok(Block::Entries {
            table,
            key_groups,
            entries: header.entries,
            payload,
        }),
        kind => Err(Error::corrupted("a block has an unknown kind").with("kind", kind)),
    }
}

pub(super) fn parse_meta(payload: &[u8]) -> Result<TableMeta> {
    serde_json::from_slice(payload)
        .map_err(|error| Error::corrupted("table meta cannot be read").because(error))
}
