//! Compressing a file of blocks on its way to the storage.

use super::header::{HEADER_LEN, Header};
use crate::format::compression::Compressor;
use crate::format::envelope::{ENVELOPE_LEN, Envelope};
use bytes::Bytes;
use snapline_core::{Codec, Error, Result};

/// Makes the pieces of a [`super::BlockWriter`], each the envelope or one block, shorter, one after the other.
///
/// Where a block has not become shorter to speak of, as many that follow it will not, it leaves some alone and tries
/// again: small numbers, for instance, are as short as they get.
#[derive(Debug)]
pub(crate) struct Recoder {
    codec: Codec,
    compressor: Compressor,
    is_begun: bool,
    /// How many blocks are left alone before one is tried.
    left_alone: u32,
}

/// Shorter blocks say little about those that follow, and cost little.
const LONG: usize = 64 * 1024;
/// A block has to become shorter by this part of its length.
const WORTH: usize = 8;
/// So many blocks are left alone after one that was not worth it.
const LEAVE_ALONE: u32 = 15;

impl Recoder {
    /// # Errors
    /// As [`crate::check_codec`].
    pub(crate) fn to(codec: Codec) -> Result<Self> {
        Ok(Self {
            codec,
            compressor: Compressor::of(codec)?,
            is_begun: false,
            left_alone: 0,
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
        let is_long = payload.len() >= LONG;
        if is_long && self.left_alone > 0 {
            self.left_alone -= 1;
            return Ok(block);
        }
        let mut shorter = vec![0; HEADER_LEN];
        let is_shorter = self.compressor.compress(payload, &mut shorter)?;
        if is_long && !(is_shorter && shorter.len() <= block.len() - block.len() / WORTH) {
            self.left_alone = LEAVE_ALONE;
        }
        if !is_shorter {
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

#[cfg(test)]
mod tests {
    use super::super::{BlockWriter, END, ENTRIES};
    use super::*;
    use crate::snapshot::block_channel;
    use crate::spec::TableId;
    use futures::StreamExt;
    use futures::executor::block_on;
    use snapline_core::{KeyGroupRange, stable_hash_bytes};

    /// Which of the blocks of entries are compressed when these are the payloads.
    fn compressed(payloads: &[Vec<u8>]) -> Vec<bool> {
        let (sender, receiver) = block_channel();
        let mut writer = BlockWriter::new(sender);
        for (table, payload) in (0..).zip(payloads) {
            // Another table begins another block.
            writer.append(TableId(table), KeyGroupRange::new(0, 1), 1, payload);
        }
        writer.finish();
        let mut recoder = Recoder::to(Codec::Lz4).unwrap();
        let recode = |piece: Result<Bytes>| recoder.recode(piece.unwrap()).unwrap();
        let pieces: Vec<Bytes> = block_on(receiver.map(recode).collect());
        let headers = pieces[1..]
            .iter()
            .map(|block| Header::decode(block.first_chunk().unwrap()));
        let (entries, rest): (Vec<_>, Vec<_>) = headers.partition(|header| header.kind == ENTRIES);
        assert_eq!(rest.iter().map(|header| header.kind).collect::<Vec<_>>(), [END]);
        entries.iter().map(|header| header.is_compressed).collect()
    }

    fn random(len: usize) -> Vec<u8> {
        (0..len.div_ceil(8))
            .flat_map(|at| stable_hash_bytes(&at.to_le_bytes()).to_le_bytes())
            .collect()
    }

    #[test]
    fn long_blocks_are_left_alone_for_a_while_after_one_that_cannot_be_shorter() {
        let mut payloads = vec![vec![7; LONG]; 2 + LEAVE_ALONE as usize];
        payloads.insert(1, random(LONG));
        let expected: Vec<bool> = [true, false]
            .into_iter()
            .chain(std::iter::repeat_n(false, LEAVE_ALONE as usize))
            .chain([true])
            .collect();
        assert_eq!(compressed(&payloads), expected);
    }

    #[test]
    fn a_little_shorter_is_taken_but_not_worth_another_try_soon() {
        let mut little = random(LONG);
        little.extend([7; LONG / 16]);
        let payloads = [little, vec![7; LONG], vec![7; LONG - 1]];
        assert_eq!(compressed(&payloads), [true, false, true]);
    }

    #[test]
    fn short_blocks_say_nothing_about_others() {
        let payloads = [random(LONG / 2), vec![7; LONG], random(LONG / 2), vec![7; LONG]];
        assert_eq!(compressed(&payloads), [false, true, false, true]);
    }
}
