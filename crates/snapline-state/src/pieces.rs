//! Bytes that lie in memory piece by piece.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes in pieces that follow each other, so that what was written in pieces need not be copied
/// together to be read.
///
/// ```
/// use bytes::Bytes;
/// use snapline_state::Pieces;
///
/// let mut pieces = Pieces::from(Bytes::from_static(b"check"));
/// pieces.push(Bytes::from_static(b"point"));
/// assert_eq!(pieces.len(), 10);
/// assert_eq!(pieces.split_to(7).unwrap(), "checkpo");
/// assert_eq!(pieces.into_bytes(), "int");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Pieces {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Adds others at the end.
    pub fn append(&mut self, mut more: Self) {
        self.len += more.len;
        self.pieces.append(&mut more.pieces);
    }

    /// Takes the first `len` bytes away, if there are as many. They are copied only when they do not lie
    /// in one piece.
    pub fn split_to(&mut self, len: usize) -> Option<Bytes> {
        if len > self.len {
            return None;
        }
        self.len -= len;
        if let Some(first) = self.pieces.front_mut()
            && len < first.len()
        {
            return Some(first.split_to(len));
        }
        match self.pieces.pop_front() {
            Some(first) if first.len() == len => Some(first),
            Some(first) => Some(self.gather(first, len)),
            None => Some(Bytes::new()),
        }
    }

    /// All bytes in one piece; copied when they are in more than one.
    pub fn into_bytes(mut self) -> Bytes {
        self.split_to(self.len).unwrap_or_default()
    }

    /// crc32c of the bytes.
    pub fn checksum(&self) -> u32 {
        self.checksum_after(0)
    }

    /// crc32c of bytes that have this one and these that follow them.
    pub(crate) fn checksum_after(&self, before: u32) -> u32 {
        let append = |checksum, piece: &Bytes| crc32c::crc32c_append(checksum, piece);
        self.pieces.iter().fold(before, append)
    }

    /// The first piece, which is shorter, with as much of those behind it as it takes.
    fn gather(&mut self, first: Bytes, len: usize) -> Bytes {
        let mut gathered = BytesMut::with_capacity(len);
        gathered.extend_from_slice(&first);
        while let Some(mut piece) = self.pieces.pop_front() {
            let missing = len - gathered.len();
            if piece.len() > missing {
                gathered.extend_from_slice(&piece.split_to(missing));
                self.pieces.push_front(piece);
                break;
            }
            gathered.extend_from_slice(&piece);
        }
        gathered.freeze()
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(bytes);
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[&'static str]) -> Pieces {
        let mut pieces = Pieces::default();
        parts
            .iter()
            .for_each(|part| pieces.push(Bytes::from_static(part.as_bytes())));
        pieces
    }

    #[test]
    fn seams_are_not_seen() {
        for parts in [["snapshot", "", ""], ["", "s", "napshot"], ["snap", "sh", "ot"]] {
            for at in 0..=8 {
                let mut rest = pieces(&parts);
                assert_eq!(rest.checksum(), crc32c::crc32c(b"snapshot"));
                assert_eq!(rest.split_to(at).unwrap(), "snapshot"[..at]);
                assert_eq!((rest.len(), rest.is_empty()), (8 - at, at == 8));
                assert_eq!(rest.split_to(9 - at), None);
                assert_eq!(rest.into_bytes(), "snapshot"[at..], "{parts:?} at {at}");
            }
        }
    }

    #[test]
    fn what_lies_in_one_piece_is_not_copied() {
        let mut both = pieces(&["left", "right"]);
        let right = both.pieces[1].as_ptr();
        both.split_to(4).unwrap();
        assert_eq!(both.into_bytes().as_ptr(), right);
    }
}
