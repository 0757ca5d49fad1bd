//! Compressing a file of blocks on its way to the storage.

use super::header::{HEADER_LEN, Header};
use crate::format::compression::Compressor;
use crate::format::envelope::{ENVELOPE_LEN, Envelope};
use bytes::Bytes;
use snapline_core::{Codec, Error, Result};

/// Makes the pieces of a [`super::BlockWriter`], each the envelope or one block, shorter, one after the other.
#[derive(Debug)]
pub(crate) struct Recoder {
    codec: Codec,
    compressor: Compressor,
    is_begun: bool,
}

impl Recoder {
    /// # Errors
    /// As [`crate::check_codec`].
    pub(crate) fn to(codec: Codec) -> Result<Self> {
        Ok(Self {
            codec,
            compressor: Compressor::of(codec)?,
            is_begun: false,
        })
    }

    /// The next piece as it is to be stored.
    ///
    /// # Errors
    /// `Internal` when it does not come from a writer of blocks.
    pub(crate) fn recode(&mut self, piece: Bytes) -> Result<Bytes> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.recode_block(piece)
        } else {
            self.recode_envelope(&piece)
        }
    }

    fn recode_envelope(&self, piece: &[u8]) -> Result<Bytes> {
        let envelope = Envelope {
            codec: self.codec,
            ..Envelope::decode(piece)?
        };
        match piece.len() {
            ENVELOPE_LEN => Ok(Bytes::copy_from_slice(&envelope.encode())),
            _ => Err(foreign()),
        }
    }

    fn recode_block(&mut self, block: Bytes) -> Result<Bytes> {
        let (header, payload) = block.split_first_chunk::<HEADER_LEN>().ok_or_else(foreign)?;
        let header = Header::decode(header);
        if header.len as usize != payload.len() || header.is_compressed {
            return Err(foreign());
        }
        let mut shorter = vec![0; HEADER_LEN];
        if !self.compressor.compress(payload, &mut shorter)? {
            return Ok(block);
        }
        shorter.shrink_to_fit();
        let header = Header {
            is_compressed: true,
            ..header
        };
        header.seal(&mut shorter);
        Ok(shorter.into())
    }
}

fn foreign() -> Error {
    Error::internal("a piece of a snapshot is not one block; write it with a BlockWriter")
}
