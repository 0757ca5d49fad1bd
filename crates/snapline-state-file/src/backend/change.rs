//! Encoded entries and how they are ordered on disk.
//!
//! The key of an entry is its table and its key group, big-endian, and the user's key, so that entries of a table, and
//! those of a key group in it, follow each other. Keys on disk are at most 64 KiB long: of a longer one the beginning
//! and a hash are the key, and the whole of it stands before the value. Such a key is not removed on disk but gets a
//! mark in place of the value, since otherwise nobody could tell which key it was.

use byteview::ByteView;
use snapline_core::{Error, KeyGroup, Result, stable_hash_bytes};
use snapline_state::TableId;

/// What an entry has become: what is stored, or nothing.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) key: ByteView,
    pub(super) value: Option<ByteView>,
}

/// An entry as the user knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) table: TableId,
    pub(super) group: KeyGroup,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

const PREFIX_LEN: usize = 4;
/// How much of a long key is part of the key on disk.
const BEGINNING: usize = 60_000;
const LONG_LEN: usize = PREFIX_LEN + BEGINNING + 8;

/// Before the parts of a long entry: whether it has a value, and the length of the key.
const LONG_HEADER: usize = 5;

/// Writes the key of an entry.
pub(super) fn encode_key(table: TableId, group: KeyGroup, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&table.0.to_be_bytes());
    // There are at most 2^15 key groups.
    out.extend_from_slice(&(group.0 as u16).to_be_bytes());
    match key.split_at_checked(BEGINNING) {
        Some((beginning, _)) => {
            out.extend_from_slice(beginning);
            out.extend_from_slice(&stable_hash_bytes(key).to_be_bytes());
        }
        None => out.extend_from_slice(key),
    }
}

/// What is stored for the value of a key.
pub(super) fn encode_value(key: &[u8], value: Option<&[u8]>) -> Option<ByteView> {
    if key.len() < BEGINNING {
        return value.map(ByteView::from);
    }
    let mut stored = vec![u8::from(value.is_some())];
    stored.extend_from_slice(&(key.len() as u32).to_be_bytes());
    stored.extend_from_slice(key);
    stored.extend_from_slice(value.unwrap_or_default());
    Some(stored.into())
}

/// The value in what is stored for a key.
///
/// # Errors
/// `Unsupported` when it is stored for another key.
pub(super) fn decode_value<'a>(key: &[u8], stored: &'a [u8]) -> Result<Option<&'a [u8]>> {
    if key.len() < BEGINNING {
        return Ok(Some(stored));
    }
    match split_long(stored) {
        Some((found, value)) if found == key => Ok(value),
        _ => Err(Error::unsupported(
            "two keys longer than 60,000 bytes begin alike and have the same hash",
        )),
    }
}

/// The parts of an entry.
pub(super) fn decode<'a>(key: &'a [u8], stored: Option<&'a [u8]>) -> Result<Decoded<'a>> {
    let torn = || Error::internal("an entry in the scratch folder is too short");
    let [t0, t1, g0, g1, rest @ ..] = key else {
        return Err(torn());
    };
    let (user_key, value) = if key.len() == LONG_LEN {
        split_long(stored.unwrap_or_default()).ok_or_else(torn)?
    } else {
        (rest, stored)
    };
    Ok(Decoded {
        table: TableId(u16::from_be_bytes([*t0, *t1])),
        group: KeyGroup(u32::from(u16::from_be_bytes([*g0, *g1]))),
        key: user_key,
        value,
    })
}

fn split_long(stored: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (header, rest) = stored.split_at_checked(LONG_HEADER)?;
    let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let (key, value) = rest.split_at_checked(len as usize)?;
    Some((key, (header[0] != 0).then_some(value)))
}

/// Orders changes by key; of several to one key the last is kept.
pub(super) fn sort(changes: &mut Vec<Change>) {
    changes.reverse();
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes.dedup_by(|next, first| next.key == first.key);
}

/// Orders the changes of a batch, in which those to one key, if there are several, are the same.
pub(super) fn sort_batch(changes: &mut Vec<Change>) {
    changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    changes.dedup_by(|next, first| next.key == first.key);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(table: u16, group: u32, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_key(TableId(table), KeyGroup(group), key, &mut out);
        out
    }

    #[test]
    fn keys_are_ordered_by_table_then_group_then_bytes() {
        let ordered = [
            encoded(0, 0, b"b"),
            encoded(0, 1, b"a"),
            encoded(0, 256, b""),
            encoded(0, 32_767, b"z"),
            encoded(1, 0, b"a"),
        ];
        assert!(ordered.is_sorted());
    }

    #[test]
    fn entries_of_any_length_come_back() {
        for len in [0, 1, BEGINNING - 1, BEGINNING, BEGINNING + 8, 300_000] {
            let (key, other) = (vec![7; len], vec![8; len]);
            let disk = encoded(3, 9, &key);
            assert!(disk.len() <= usize::from(u16::MAX));
            for value in [Some(&b"value"[..]), Some(b""), None] {
                let stored = encode_value(&key, value);
                let decoded = decode(&disk, stored.as_deref()).unwrap();
                assert_eq!((decoded.key, decoded.value), (&*key, value), "{len}");
                assert_eq!((decoded.table, decoded.group), (TableId(3), KeyGroup(9)));
                if let Some(stored) = stored {
                    assert_eq!(decode_value(&key, &stored).unwrap(), value);
                    assert!(len < BEGINNING || decode_value(&other, &stored).is_err());
                }
            }
        }
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let change = |key: &str, value: Option<&str>| Change {
            key: key.into(),
            value: value.map(Into::into),
        };
        let mut changes = vec![
            change("b", Some("1")),
            change("a", Some("2")),
            change("b", None),
            change("a", Some("3")),
        ];
        sort(&mut changes);
        let sorted: Vec<_> = changes.iter().map(|c| (&*c.key, c.value.as_deref())).collect();
        assert_eq!(sorted, [(&b"a"[..], Some(&b"3"[..])), (b"b", None)]);
    }
}
