//! Making the payloads of blocks shorter, and reading them again.
//!
//! A compressed payload is the length of the plain one (u32, little-endian), then what the codec makes of it.

use bytes::Bytes;
use snapline_core::{Codec, Error, Result};

/// Shorter payloads are stored as they are.
const SHORTEST: usize = 128;

#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 1;

/// Says whether this build can write, and read, state files of a codec.
///
/// # Errors
/// `Unsupported` naming the feature that is missing.
pub fn check_codec(codec: Codec) -> Result<()> {
    match codec {
        Codec::Zstd if !cfg!(feature = "zstd") => Err(without_zstd()),
        _ => Ok(()),
    }
}

fn without_zstd() -> Error {
    Error::unsupported("this program is built without the codec; build it with the feature `zstd`")
        .with("codec", "zstd")
}

/// Compresses the payloads of one file.
#[derive(Debug)]
pub(crate) enum Compressor {
    None,
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd(Zstd),
}

#[cfg(feature = "zstd")]
pub(crate) struct Zstd(zstd::bulk::Compressor<'static>);

#[cfg(feature = "zstd")]
impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Zstd")
    }
}

impl Compressor {
    /// # Errors
    /// As [`check_codec`].
    pub(crate) fn of(codec: Codec) -> Result<Self> {
        match codec {
            Codec::None => Ok(Self::None),
            Codec::Lz4 => Ok(Self::Lz4),
            #[cfg(feature = "zstd")]
            Codec::Zstd => zstd::bulk::Compressor::new(ZSTD_LEVEL)
                .map(|compressor| Self::Zstd(Zstd(compressor)))
                .map_err(|error| Error::internal("cannot compress with zstd").because(error)),
            #[cfg(not(feature = "zstd"))]
            Codec::Zstd => Err(without_zstd()),
        }
    }

    /// Appends the compressed payload to `out`; `false`, and nothing appended, when that would not be shorter.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub(crate) fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let Ok(len) = u32::try_from(payload.len()) else {
            return Ok(false);
        };
        if payload.len() < SHORTEST {
            return Ok(false);
        }
        let start = out.len();
        out.extend_from_slice(&len.to_le_bytes());
        let is_compressed = self.append(payload, out)?;
        let is_shorter = is_compressed && out.len() - start < payload.len();
        if !is_shorter {
            out.truncate(start);
        }
        Ok(is_shorter)
    }

    fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::internal("cannot compress a block").because(error)
        };
        let start = out.len();
        let written = match self {
            Self::None => return Ok(false),
            Self::Lz4 => {
                out.resize(start + lz4_flex::block::get_maximum_output_size(payload.len()), 0);
                lz4_flex::block::compress_into(payload, &mut out[start..])
                    .map_err(|error| failed(error.into()))?
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(Zstd(zstd)) => {
                out.resize(start + zstd::zstd_safe::compress_bound(payload.len()), 0);
                zstd.compress_to_buffer(payload, &mut out[start..])
                    .map_err(|error| failed(error.into()))?
            }
        };
        out.truncate(start + written);
        Ok(true)
    }
}

/// The plain payload of a compressed one.
///
/// # Errors
/// `Corrupted` when it is not what [`Compressor::compress`] has made, `Unsupported` as [`check_codec`].
pub(crate) fn decompress(codec: Codec, stored: &[u8]) -> Result<Bytes> {
    check_codec(codec)?;
    let damaged =
        || Error::corrupted("a compressed block cannot be read").with("codec", format!("{codec:?}"));
    let (len, compressed) = stored.split_first_chunk::<4>().ok_or_else(damaged)?;
    let len = u32::from_le_bytes(*len) as usize;
    if !can_be(codec, len, compressed) {
        return Err(damaged());
    }
    let mut plain = vec![0; len];
    let written = match codec {
        Codec::None => return Err(damaged()),
        Codec::Lz4 => lz4_flex::block::decompress_into(compressed, &mut plain)
            .map_err(|error| damaged().because(error))?,
        #[cfg(feature = "zstd")]
        Codec::Zstd => zstd::bulk::decompress_to_buffer(compressed, &mut plain)
            .map_err(|error| damaged().because(error))?,
        #[cfg(not(feature = "zstd"))]
        Codec::Zstd => return Err(without_zstd()),
    };
    match written == len {
        true => Ok(plain.into()),
        false => Err(damaged()),
    }
}

/// Whether so few bytes can stand for so many, before any memory is taken for them.
fn can_be(codec: Codec, len: usize, compressed: &[u8]) -> bool {
    match codec {
        Codec::None => false,
        // No byte of LZ4 stands for more.
        Codec::Lz4 => len <= compressed.len().saturating_mul(255),
        #[cfg(feature = "zstd")]
        Codec::Zstd => {
            let told = zstd::zstd_safe::get_frame_content_size(compressed);
            matches!(told, Ok(Some(told)) if told == len as u64)
        }
        #[cfg(not(feature = "zstd"))]
        Codec::Zstd => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use snapline_core::ErrorKind;

    fn codecs() -> Vec<Codec> {
        let codecs = [Codec::Lz4, Codec::Zstd];
        codecs
            .into_iter()
            .filter(|codec| check_codec(*codec).is_ok())
            .collect()
    }

    #[test]
    fn what_does_not_become_shorter_is_left_alone() {
        for codec in codecs() {
            let mut compressor = Compressor::of(codec).unwrap();
            let mut random = vec![0; 10_000];
            for (at, chunk) in random.chunks_mut(8).enumerate() {
                let hash = snapline_core::stable_hash_bytes(&at.to_le_bytes());
                chunk.copy_from_slice(&hash.to_le_bytes()[..chunk.len()]);
            }
            for payload in [&random[..], &[7; SHORTEST - 1], &[]] {
                let mut out = vec![1, 2];
                assert!(!compressor.compress(payload, &mut out).unwrap());
                assert_eq!(out, [1, 2]);
            }
        }
    }

    #[test]
    fn a_claim_of_another_length_is_damage() {
        for codec in codecs() {
            let mut stored = Vec::new();
            let mut compressor = Compressor::of(codec).unwrap();
            assert!(compressor.compress(&[7; 1000], &mut stored).unwrap());
            for claim in [0, 999, 1001, u32::MAX] {
                stored[..4].copy_from_slice(&claim.to_le_bytes());
                let error = decompress(codec, &stored).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupted, "{codec:?} {claim}");
            }
        }
    }

    #[test]
    #[cfg(not(feature = "zstd"))]
    fn a_build_without_a_codec_says_how_to_get_it() {
        let errors = [
            check_codec(Codec::Zstd),
            Compressor::of(Codec::Zstd).map(drop),
            decompress(Codec::Zstd, &[0; 10]).map(drop),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("feature `zstd`"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            word in prop::collection::vec(any::<u8>(), 1..50),
            times in 1..2_000_usize,
        ) {
            let payload = word.repeat(times);
            for codec in codecs() {
                let mut stored = Vec::new();
                if Compressor::of(codec).unwrap().compress(&payload, &mut stored).unwrap() {
                    prop_assert!(stored.len() < payload.len());
                    prop_assert_eq!(&decompress(codec, &stored).unwrap(), &payload);
                }
            }
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for codec in codecs() {
                let _ = decompress(codec, &bytes);
            }
        }
    }
}
