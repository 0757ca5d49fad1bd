//! The first bytes of everything stored in binary.

use snapline_core::{Codec, Error, Result};

/// The length of an encoded [`Envelope`] in bytes.
pub const ENVELOPE_LEN: usize = 16;

const MAGIC: [u8; 4] = *b"SNAP";
const FORMAT_VERSION: u16 = 1;

/// Says what a file is, before anything in it is believed.
///
/// Layout, little-endian: magic `SNAP`, format version (u16), kind (u8), codec (u8), zero (u32),
/// crc32c of the twelve bytes before it (u32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// What the file holds.
    pub kind: FileKind,
    /// How its blocks are compressed.
    pub codec: Codec,
}

/// What a stored file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// Tables of keyed state, in blocks.
    KeyedState,
    /// What was in flight towards a subtask.
    ChannelState,
}

impl FileKind {
    const ALL: [Self; 2] = [Self::KeyedState, Self::ChannelState];

    fn code(self) -> u8 {
        match self {
            Self::KeyedState => 1,
            Self::ChannelState => 2,
        }
    }
}

impl Envelope {
    /// The bytes at the beginning of the file.
    pub fn encode(self) -> [u8; ENVELOPE_LEN] {
        let mut bytes = [0; ENVELOPE_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[6] = self.kind.code();
        bytes[7] = match self.codec {
            Codec::None => 0,
            Codec::Lz4 => 1,
            Codec::Zstd => 2,
        };
        let checksum = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the envelope; the rest of the file follows [`ENVELOPE_LEN`].
    ///
    /// # Errors
    /// `Corrupted` when this is no file of Snapline or its first bytes are damaged, `Unsupported`
    /// when a newer version wrote it.
    pub fn decode(file: &[u8]) -> Result<Self> {
        let Some(bytes) = file.first_chunk::<ENVELOPE_LEN>() else {
            return Err(
                Error::corrupted("a state file is shorter than its envelope").with("length", file.len())
            );
        };
        let stored = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        if bytes[..4] != MAGIC || crc32c::crc32c(&bytes[..12]) != stored {
            return Err(Error::corrupted(
                "a state file does not begin with a valid envelope",
            ));
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        let kind = FileKind::ALL.into_iter().find(|kind| kind.code() == bytes[6]);
        let (Some(kind), FORMAT_VERSION) = (kind, version) else {
            return Err(Error::unsupported(
                "a state file was written by a newer version of Snapline; run that version",
            )
            .with("format version", version)
            .with("supported", FORMAT_VERSION));
        };
        let codec = codec_of(bytes[7])?;
        Ok(Self { kind, codec })
    }
}

fn codec_of(code: u8) -> Result<Codec> {
    match code {
        0 => Ok(Codec::None),
        1 => Ok(Codec::Lz4),
        2 => Ok(Codec::Zstd),
        _ => Err(Error::unsupported(
            "a state file is compressed in a way that this version of Snapline does not know; run the version that wrote it",
        )
        .with("codec", code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    const PLAIN: Envelope = Envelope {
        kind: FileKind::KeyedState,
        codec: Codec::None,
    };

    #[test]
    fn every_flipped_bit_is_noticed() {
        assert_eq!(Envelope::decode(&PLAIN.encode()).unwrap(), PLAIN);
        for bit in 0..ENVELOPE_LEN * 8 {
            let mut bytes = PLAIN.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Envelope::decode(&bytes).is_err(), "bit {bit}");
        }
        assert!(Envelope::decode(&PLAIN.encode()[..15]).is_err());
    }

    #[test]
    fn every_codec_comes_back() {
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            let envelope = Envelope { codec, ..PLAIN };
            assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
        }
    }

    #[test]
    fn a_newer_version_and_an_unknown_codec_are_refused_by_name() {
        for (at, code, name) in [
            (4, 2, "newer version"),
            (6, 99, "newer version"),
            (7, 3, "codec: 3"),
        ] {
            let mut bytes = PLAIN.encode();
            bytes[at] = code;
            let checksum = crc32c::crc32c(&bytes[..12]);
            bytes[12..].copy_from_slice(&checksum.to_le_bytes());
            let error = Envelope::decode(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
