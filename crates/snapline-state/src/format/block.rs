//! Tables of keyed state as a stream of checksummed blocks.
//!
//! A file is an [`Envelope`], then blocks. A block is a header of 24 bytes and a payload. Header,
//! little-endian: payload length (u32), entries (u32), table (u16), kind (u8), one if the payload is compressed by
//! the codec of the envelope (u8), first key group (u32), one past the last key group (u32), crc32c of the header
//! before it and the payload as it is stored (u32). A `meta` block (kind 0) holds a [`TableMeta`] as JSON and comes before the first `entries`
//! block (kind 1) of its table. An entry is the key's length as a varint, the key, the value's length
//! as a varint, the value; both as postcard. A `removed` block (kind 3) of a delta holds keys in the same
//! way, without values: they had a value in the snapshot that the delta builds on. A key may be removed
//! and have an entry as well; then it came back. An `end` block (kind 2) closes the file.

pub(crate) mod copied;
pub(crate) mod decoder;
mod header;
pub(crate) mod open_block;
mod pass;
pub(crate) mod recoder;
pub(crate) mod restore;
pub(crate) mod stored;

use crate::format::envelope::{Envelope, FileKind};
use crate::pieces::Pieces;
use crate::schema::{self, Schema};
use crate::snapshot::BlockSender;
use crate::spec::TableId;
use crate::ttl::Living;
use bytes::Bytes;
use copied::{CopiedEntries, Copies};
use decoder::{BlockDecoder, Checks};
use header::{END, ENTRIES, HEADER_LEN, Header, META, REMOVED};
use open_block::OpenBlock;
use restore::RestoredEntry;
use serde::{Deserialize, Serialize};
use snapline_core::{Codec, Error, KeyGroupRange, Result, ShortBytes, encode_into};
use std::sync::Arc;

/// What a table in a file is. Two with the same names of types are equal, whatever is known of their schemas.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableMeta {
    /// The name of the state.
    pub name: String,
    /// The schema version that the program gave it.
    pub version: u32,
    /// The type of the keys, without module paths.
    pub key_type: String,
    /// The version that the program gave to the keys.
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    pub key_version: u32,
    /// The type of the values, without module paths.
    pub value_type: String,
    /// What the keys and values look like, if that is known.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "schema::lenient"
    )]
    pub schema: Option<Schema>,
}

impl PartialEq for TableMeta {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.version) == (&other.name, other.version)
            && (&self.key_type, self.key_version) == (&other.key_type, other.key_version)
            && self.value_type == other.value_type
    }
}

impl Eq for TableMeta {}

fn first_version() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_first_version(version: &u32) -> bool {
    *version == first_version()
}

/// One block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a reader must know every kind")]
pub enum Block {
    /// A table begins.
    Meta(TableId, TableMeta),
    /// Entries of a table.
    Entries {
        /// The table.
        table: TableId,
        /// The key groups that the entries are of.
        key_groups: KeyGroupRange,
        /// How many entries there are.
        entries: u32,
        /// The encoded entries.
        payload: Bytes,
    },
    /// Keys of a table that are gone.
    Removed {
        /// The table.
        table: TableId,
        /// The key groups that the keys are of.
        key_groups: KeyGroupRange,
        /// How many keys there are.
        keys: u32,
        /// The encoded keys.
        payload: Bytes,
    },
}

/// An encoded key and its encoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Entry<'_> {
    /// Appends the entry of a key and a value to a payload.
    ///
    /// # Errors
    /// `Invalid` when either cannot be encoded; the payload is as before.
    #[inline]
    pub fn encode<K: Serialize, V: Serialize>(key: &K, value: &V, payload: &mut Vec<u8>) -> Result<()> {
        let start = payload.len();
        payload.reserve(2 * (ShortBytes::MOST + 1));
        let outcome = push_sized(key, payload).and_then(|()| push_sized(value, payload));
        if outcome.is_err() {
            payload.truncate(start);
        }
        outcome
    }

    /// Appends the entry of a key and a value that are already encoded.
    pub fn append(self, payload: &mut Vec<u8>) {
        for part in [self.key, self.value] {
            push_varint(part.len(), payload);
            payload.extend_from_slice(part);
        }
    }

    /// Appends an encoded key to a payload of removed keys.
    pub fn append_removed(key: &[u8], payload: &mut Vec<u8>) {
        push_varint(key.len(), payload);
        payload.extend_from_slice(key);
    }

    /// The keys of a payload of removed keys, in order.
    pub fn removed(payload: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
        let mut rest = payload;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let key = take_sized(&mut rest);
            let key = key.ok_or_else(|| Error::corrupted("a block ends in the middle of a key"));
            if key.is_err() {
                rest = &[];
            }
            Some(key)
        })
    }

    /// The entries of a payload, in order.
    pub fn iter(payload: &[u8]) -> impl Iterator<Item = Result<Entry<'_>>> {
        let mut rest = payload;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let entry = take_sized(&mut rest)
                .and_then(|key| {
                    Some(Entry {
                        key,
                        value: take_sized(&mut rest)?,
                    })
                })
                .ok_or_else(|| Error::corrupted("a block ends in the middle of an entry"));
            if entry.is_err() {
                rest = &[];
            }
            Some(entry)
        })
    }
}

/// Encodes blocks and sends them to a snapshot.
#[derive(Debug)]
pub struct BlockWriter {
    sender: BlockSender,
    open: OpenBlock,
    /// The name of the table that was begun last.
    name: Arc<str>,
    has_entries: bool,
    /// By table, which entries are to be written.
    living: Arc<[Option<Living>]>,
}

impl BlockWriter {
    /// Begins a file.
    pub fn new(sender: BlockSender) -> Self {
        let envelope = Envelope {
            kind: FileKind::KeyedState,
            codec: Codec::None,
        };
        sender.send(Bytes::copy_from_slice(&envelope.encode()));
        Self {
            sender,
            open: OpenBlock::new(),
            name: Arc::default(),
            has_entries: false,
            living: Arc::default(),
        }
    }

    /// Leaves out what does not live any more, in these tables. For full snapshots only.
    #[must_use]
    pub fn leaving_out(self, expired: Arc<[Option<Living>]>) -> Self {
        Self {
            living: expired,
            ..self
        }
    }

    /// Begins a table; entries that follow belong to it.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub fn begin_table(&mut self, table: TableId, meta: &TableMeta) -> Result<()> {
        self.flush();
        let json = serde_json::to_vec(meta)
            .map_err(|error| Error::internal("table meta has no JSON").because(error))?;
        self.name = meta.name.as_str().into();
        self.send_block(META, table, &json);
        Ok(())
    }

    /// Appends encoded entries of a table that has begun, all of these key groups.
    pub fn append(&mut self, table: TableId, key_groups: KeyGroupRange, entries: u32, payload: &[u8]) {
        // What cannot be read is the affair of whoever restores it.
        match self.living(table).map(|living| living.of(entries, payload)) {
            Some(Ok((entries, payload))) => self.push(ENTRIES, table, key_groups, entries, &payload),
            _ => self.push(ENTRIES, table, key_groups, entries, payload),
        }
    }

    /// The same for entries of the table that was begun last, which the snapshot encodes.
    pub(crate) fn append_copies(
        &mut self,
        table: TableId,
        key_groups: KeyGroupRange,
        copies: Box<dyn Copies>,
    ) {
        self.flush();
        self.has_entries = true;
        self.sender.send_copies(CopiedEntries {
            table,
            name: self.name.clone(),
            key_groups,
            copies,
            living: self.living(table).cloned(),
        });
    }

    /// Appends encoded keys of a table that has begun, all of these key groups, which are gone.
    pub fn append_removed(&mut self, table: TableId, key_groups: KeyGroupRange, keys: u32, payload: &[u8]) {
        self.push(REMOVED, table, key_groups, keys, payload);
    }

    fn living(&self, table: TableId) -> Option<&Living> {
        self.living.get(usize::from(table.0)).and_then(Option::as_ref)
    }

    fn push(&mut self, kind: u8, table: TableId, key_groups: KeyGroupRange, entries: u32, payload: &[u8]) {
        if entries == 0 {
            return;
        }
        self.has_entries = true;
        let other = self.open.take_other(kind, table);
        self.send(other);
        self.open.append(key_groups, entries).extend_from_slice(payload);
        let long = self.open.take_long();
        self.send(long);
    }

    /// Whether there is anything but the names of tables.
    pub fn has_entries(&self) -> bool {
        self.has_entries
    }

    /// The channel to the snapshot.
    pub fn sender(&self) -> &BlockSender {
        &self.sender
    }

    /// Lets the snapshot fail.
    pub fn fail(self, error: Error) {
        self.sender.fail(error);
    }

    /// Ends the file.
    pub fn finish(mut self) {
        self.flush();
        self.send_block(END, TableId(0), &[]);
        self.sender.finish();
    }

    fn flush(&mut self) {
        let block = self.open.take();
        self.send(block);
    }

    fn send(&self, block: Option<Bytes>) {
        if let Some(block) = block {
            self.sender.send(block);
        }
    }

    /// Sends a block without entries.
    fn send_block(&self, kind: u8, table: TableId, payload: &[u8]) {
        let mut block = [&[0; HEADER_LEN], payload].concat();
        Header::new(kind, table, KeyGroupRange::new(0, 0), 0).seal(&mut block);
        self.sender.send(block.into());
    }
}

/// Reads the blocks of a file in order.
#[derive(Debug)]
pub struct BlockReader {
    decoder: BlockDecoder,
    done: bool,
}

impl BlockReader {
    /// Reads a whole file, checking each block.
    ///
    /// # Errors
    /// `Corrupted` or `Unsupported`, see [`Envelope::decode`].
    pub fn new(file: impl Into<Pieces>) -> Result<Self> {
        Self::with(file, Checks::Blocks)
    }

    /// Reads a file whose checksum was checked already, as [`crate::StateHandle::read_pieces`] does.
    ///
    /// # Errors
    /// As [`BlockReader::new`].
    pub fn of_checked(file: impl Into<Pieces>) -> Result<Self> {
        Self::with(file, Checks::None)
    }

    fn with(file: impl Into<Pieces>, checks: Checks) -> Result<Self> {
        let mut decoder = BlockDecoder::new(checks);
        decoder.push(file.into());
        decoder.begin()?;
        Ok(Self { decoder, done: false })
    }

    fn next_block(&mut self) -> Result<Option<Block>> {
        match self.decoder.next()? {
            Some(block) => Ok(Some(block)),
            None => self.decoder.finish().map(|()| None),
        }
    }
}

impl Iterator for BlockReader {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let block = self.next_block().transpose();
        self.done = !matches!(block, Some(Ok(_)));
        block
    }
}

#[inline]
pub(crate) fn push_sized<T: Serialize>(value: &T, payload: &mut Vec<u8>) -> Result<()> {
    let at = payload.len();
    // What owns memory is hardly ever short, and to find that out takes time.
    if const { !std::mem::needs_drop::<T>() }
        && let Some(short) = ShortBytes::of(value)
    {
        payload.extend_from_slice(&short.sized());
        payload.truncate(at + 1 + short.count());
        return Ok(());
    }
    push_any_sized(value, payload)
}

#[inline]
fn push_any_sized<T: Serialize>(value: &T, payload: &mut Vec<u8>) -> Result<()> {
    let at = payload.len();
    payload.push(0);
    encode_into(value, payload)?;
    let len = payload.len() - at - 1;
    if len < 128 {
        payload[at] = len as u8;
    } else {
        widen_length(payload, at, len);
    }
    Ok(())
}

#[cold]
fn widen_length(payload: &mut Vec<u8>, at: usize, len: usize) {
    let mut length = Vec::with_capacity(5);
    push_varint(len, &mut length);
    payload.splice(at..=at, length);
}

fn push_varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push((value % 128) as u8 | 128);
        value /= 128;
    }
    out.push(value as u8);
}

#[inline(always)]
fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&first, tail) = rest.split_first()?;
    let (len, tail) = if first < 128 {
        (usize::from(first), tail)
    } else {
        take_long_length(rest)?
    };
    let (part, tail) = tail.split_at_checked(len)?;
    *rest = tail;
    Some(part)
}

#[cold]
fn take_long_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut len = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        len |= usize::from(byte & 127).checked_shl(7 * at as u32)?;
        if *byte < 128 {
            return Some((len, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
#[path = "block/tests.rs"]
mod tests;
