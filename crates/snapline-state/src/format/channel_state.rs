//! What was in flight towards one subtask.
//!
//! A file is an [`Envelope`], then blocks. A block is a header of 12 bytes and a payload. Header,
//! little-endian: payload length (u32), kind (u8), zero (3 bytes), crc32c of the header before it and
//! the payload (u32). A `channel` block (kind 0) holds a [`ChannelOrigin`] as postcard; the `batch`
//! blocks (kind 1) that follow hold its batches in order. An `end` block (kind 2) closes the file.

use crate::format::envelope::{ENVELOPE_LEN, Envelope, FileKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_core::{Codec, Error, OperatorUid, Result, SubtaskIndex, decode, encode_into};

const HEADER_LEN: usize = 12;
const CHANNEL: u8 = 0;
const BATCH: u8 = 1;
const END: u8 = 2;

/// The batches that were in flight towards one subtask at a cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelState {
    /// The channels that had any.
    pub channels: Vec<RecordedChannel>,
}

/// The batches of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedChannel {
    /// Which channel.
    pub origin: ChannelOrigin,
    /// Encoded by [`snapline_core::AnyBatch::encode_into`], in channel order.
    pub batches: Vec<Bytes>,
}

/// Where the records of a channel came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelOrigin {
    /// The operator whose output they were.
    pub operator: OperatorUid,
    /// Which of its subtasks sent them.
    pub subtask: SubtaskIndex,
    /// Which input of the receiving operator they were for.
    pub input: u32,
}

impl ChannelState {
    /// Whether nothing was in flight.
    pub fn is_empty(&self) -> bool {
        self.channels.iter().all(|channel| channel.batches.is_empty())
    }

    /// The file in pieces.
    ///
    /// # Errors
    /// `Invalid` when a batch is longer than 4 GB.
    pub fn encode(&self) -> Result<Vec<Bytes>> {
        let envelope = Envelope {
            kind: FileKind::ChannelState,
            codec: Codec::None,
        };
        let mut pieces = vec![Bytes::copy_from_slice(&envelope.encode())];
        for channel in &self.channels {
            let mut origin = Vec::new();
            encode_into(&channel.origin, &mut origin)?;
            push_block(CHANNEL, origin.into(), &mut pieces)?;
            for batch in &channel.batches {
                push_block(BATCH, batch.clone(), &mut pieces)?;
            }
        }
        push_block(END, Bytes::new(), &mut pieces)?;
        Ok(pieces)
    }

    /// Reads a whole file. The batches are slices of it.
    ///
    /// # Errors
    /// `Corrupted` when [`ChannelState::encode`] has not written exactly this, `Unsupported` when a newer
    /// version wrote it.
    pub fn decode(file: &Bytes) -> Result<Self> {
        if Envelope::decode(file)?.kind != FileKind::ChannelState {
            return Err(Error::corrupted("a file of channel state holds something else"));
        }
        let mut rest = file.slice(ENVELOPE_LEN..);
        let mut channels: Vec<RecordedChannel> = Vec::new();
        loop {
            match (take_block(&mut rest)?, channels.last_mut()) {
                ((CHANNEL, origin), _) => channels.push(RecordedChannel {
                    origin: decode(&origin)?,
                    batches: Vec::new(),
                }),
                ((BATCH, batch), Some(channel)) => channel.batches.push(batch),
                ((END, end), _) if end.is_empty() && rest.is_empty() => return Ok(Self { channels }),
                ((kind, _), _) => {
                    return Err(
                        Error::corrupted("a block of channel state is out of place").with("kind", kind)
                    );
                }
            }
        }
    }
}

fn push_block(kind: u8, payload: Bytes, pieces: &mut Vec<Bytes>) -> Result<()> {
    let Ok(len) = u32::try_from(payload.len()) else {
        return Err(Error::invalid(
            "a batch in flight is longer than 4 GB; lower batch_records",
        ));
    };
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&len.to_le_bytes());
    header[4] = kind;
    let checksum = checksum(&header, &payload);
    header[8..].copy_from_slice(&checksum.to_le_bytes());
    pieces.extend([Bytes::copy_from_slice(&header), payload]);
    Ok(())
}

fn take_block(rest: &mut Bytes) -> Result<(u8, Bytes)> {
    let torn = || Error::corrupted("a file of channel state ends in the middle of a block");
    let header: [u8; HEADER_LEN] = *rest.first_chunk().ok_or_else(torn)?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (len, stored) = (number(0) as usize, number(8));
    if rest.len() - HEADER_LEN < len {
        return Err(torn());
    }
    let mut block = rest.split_to(HEADER_LEN + len);
    let payload = block.split_off(HEADER_LEN);
    if checksum(&header, &payload) != stored {
        return Err(Error::corrupted(
            "the checksum of a block of channel state does not match",
        ));
    }
    Ok((header[4], payload))
}

fn checksum(header: &[u8; HEADER_LEN], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..8]), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel(operator: &str, subtask: u32, batches: &[&'static [u8]]) -> RecordedChannel {
        RecordedChannel {
            origin: ChannelOrigin {
                operator: OperatorUid::new(operator).unwrap(),
                subtask: SubtaskIndex(subtask),
                input: 1,
            },
            batches: batches.iter().copied().map(Bytes::from_static).collect(),
        }
    }

    fn sample() -> ChannelState {
        ChannelState {
            channels: vec![
                channel("map-1", 0, &[b"first", b"", b"third"]),
                channel("map-1", 7, &[]),
                channel("source", 2, &[&[0; 300]]),
            ],
        }
    }

    fn file(state: &ChannelState) -> Bytes {
        state.encode().unwrap().concat().into()
    }

    #[test]
    fn what_is_written_is_read_and_a_flipped_bit_or_a_cut_is_noticed() {
        for state in [ChannelState::default(), sample()] {
            let file = file(&state);
            assert_eq!(ChannelState::decode(&file).unwrap(), state);
            for length in 0..file.len() {
                assert!(ChannelState::decode(&file.slice(..length)).is_err(), "{length}");
            }
            for bit in 0..file.len() * 8 {
                let mut damaged = file.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(ChannelState::decode(&damaged.into()).is_err(), "bit {bit}");
            }
        }
        let longer = [&file(&sample())[..], b"x"].concat();
        assert!(ChannelState::decode(&longer.into()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ChannelState::decode(&bytes.clone().into());
            let envelope = file(&ChannelState::default()).slice(..ENVELOPE_LEN);
            let _ = ChannelState::decode(&[&envelope[..], &bytes].concat().into());
        }

        #[test]
        fn no_block_with_a_right_checksum_makes_a_reader_panic(
            blocks in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let mut pieces = vec![file(&ChannelState::default()).slice(..ENVELOPE_LEN)];
            for (kind, payload) in blocks {
                push_block(kind, payload.into(), &mut pieces).unwrap();
            }
            let _ = ChannelState::decode(&pieces.concat().into());
        }
    }
}
