//! Entries that a snapshot has got from its table.

use super::{Pool, QUANTUM, QUANTUM_OF_COPIES};
use crate::format::block::copied::Copies;
use crate::format::block::{BlockWriter, Entry};
use crate::spec::TableId;
use crate::table::buckets::{Full, is_plain};
use snapline_core::{Data, Key, KeyGroupRange, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By so many entries a drain may be longer.
const ENTRIES_OF_WORD: usize = 64;

/// How much memory a chunk of entries takes. Before-images lie in such.
const CHUNK: usize = 1024;

/// So many bytes of encoded entries a buffer has room for beyond what fills it: the last entry may be longer.
const ROOM_FOR_LAST: usize = 256;

/// How many buffers are kept for later snapshots: as many as may wait for a storage, four megabytes.
const SPARE_BUFFERS: usize = 64;

/// Entries, as copies where copies are cheap: then whoever stores the snapshot encodes them, and the task does not wait
/// for that. Others are encoded at once.
#[derive(Debug)]
pub(in crate::table) struct Kept<K, V> {
    copies: Vec<Full<K, V>>,
    payload: Vec<u8>,
    /// How many are encoded.
    encoded: u32,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            copies: Vec::new(),
            payload: Vec::new(),
            encoded: 0,
        }
    }
}

impl<K: Key, V: Data> Kept<K, V> {
    /// Keeps an entry.
    ///
    /// # Errors
    /// `Invalid` when it cannot be encoded and was tried.
    #[inline(always)]
    pub(in crate::table) fn push(&mut self, full: &Full<K, V>) -> Result<()> {
        if is_plain::<K, V>() {
            self.copies.push(full.clone());
        } else {
            Entry::encode(&full.key, &full.value, &mut self.payload)?;
            self.encoded += 1;
        }
        Ok(())
    }

    /// None, with room for a chunk.
    pub(super) fn chunk() -> Self {
        match is_plain::<K, V>() {
            true => Self::with_capacities(Self::CHUNK_COPIES, 0),
            false => Self::with_capacities(0, CHUNK + ROOM_FOR_LAST),
        }
    }

    /// None, with room for what is drained at a time.
    fn quantum() -> Self {
        let copies = QUANTUM_OF_COPIES / size_of::<Full<K, V>>().max(1);
        match is_plain::<K, V>() {
            true => Self::with_capacities(copies + ENTRIES_OF_WORD + Self::CHUNK_COPIES, 0),
            false => Self::with_capacities(0, QUANTUM + CHUNK + ENTRIES_OF_WORD * ROOM_FOR_LAST),
        }
    }

    fn with_capacities(copies: usize, payload: usize) -> Self {
        Self {
            copies: Vec::with_capacity(copies),
            payload: Vec::with_capacity(payload),
            encoded: 0,
        }
    }

    /// How many copies a chunk has.
    const CHUNK_COPIES: usize = {
        let size = size_of::<Full<K, V>>();
        if size == 0 { CHUNK } else { CHUNK.div_ceil(size) }
    };

    /// Whether a chunk has room for an entry.
    #[inline(always)]
    pub(super) fn has_room_in_chunk(&self) -> bool {
        match is_plain::<K, V>() {
            true => self.copies.len() < self.copies.capacity(),
            false => self.payload.len() < CHUNK && self.payload.capacity() > 0,
        }
    }

    /// Whether it takes no more memory than a chunk does: one for a long entry has grown.
    pub(super) fn is_of_chunk_size(&self) -> bool {
        self.payload.capacity() <= CHUNK + ROOM_FOR_LAST
    }

    /// Leaves none, and the room for them.
    pub(super) fn clear(&mut self) {
        self.copies.clear();
        self.payload.clear();
        self.encoded = 0;
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.copies.extend_from_slice(&other.copies);
        self.payload.extend_from_slice(&other.payload);
        self.encoded += other.encoded;
    }

    pub(super) fn len(&self) -> usize {
        self.copies.len() + self.encoded as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much of what is done at a time they are.
    #[inline]
    pub(super) fn share_of_quantum(&self) -> usize {
        size_of_val(&*self.copies) / (QUANTUM_OF_COPIES / QUANTUM) + self.payload.len()
    }

    /// Hands the entries on. Their keys are of these key groups.
    pub(in crate::table) fn write(
        self,
        table: TableId,
        key_groups: KeyGroupRange,
        spare: &Spare<K, V>,
        out: &mut BlockWriter,
    ) {
        out.append(table, key_groups, self.encoded, &self.payload);
        let (has_copies, spare) = (!self.copies.is_empty(), spare.clone());
        let plain = Plain { kept: self, spare };
        if has_copies {
            out.append_copies(table, key_groups, Box::new(plain));
        }
    }
}

/// Buffers for what is drained at a time. They come back when what was in them has been encoded, or its snapshot was
/// given up, be it in another thread.
#[derive(Debug)]
pub(in crate::table) struct Spare<K, V>(Arc<Mutex<Pool<Kept<K, V>>>>);

impl<K, V> Clone for Spare<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, V: Data> Spare<K, V> {
    pub(in crate::table) fn new() -> Self {
        Self(Arc::new(Mutex::new(Pool::of(SPARE_BUFFERS))))
    }

    /// A snapshot begins.
    pub(in crate::table) fn begin(&self) {
        self.buffers().begin();
    }

    /// Room for entries.
    pub(in crate::table) fn take(&self) -> Kept<K, V> {
        let spare = self.buffers().take();
        spare.unwrap_or_else(Kept::quantum)
    }

    /// Takes a buffer back, or frees it if it has grown: it had entries of unusual length.
    pub(in crate::table) fn give_back(&self, mut buffer: Kept<K, V>) {
        buffer.clear();
        if buffer.payload.capacity() <= 2 * QUANTUM {
            self.buffers().give_back(buffer);
        }
    }
}

impl<K, V> Spare<K, V> {
    fn buffers(&self) -> MutexGuard<'_, Pool<Kept<K, V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies on their way to where they are encoded. Their buffer goes back when they are dropped.
struct Plain<K: Key, V: Data> {
    kept: Kept<K, V>,
    spare: Spare<K, V>,
}

impl<K: Key, V: Data> Copies for Plain<K, V> {
    fn len(&self) -> u32 {
        self.kept.copies.len() as u32
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.kept.copies)
    }

    fn encode(self: Box<Self>, payload: &mut Vec<u8>) -> Result<()> {
        let encode = |full: &Full<K, V>| Entry::encode(&full.key, &full.value, payload);
        self.kept.copies.iter().try_for_each(encode)
    }
}

impl<K: Key, V: Data> Drop for Plain<K, V> {
    fn drop(&mut self) {
        self.spare.give_back(std::mem::take(&mut self.kept));
    }
}

impl<K: Key, V: Data> std::fmt::Debug for Plain<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} copies", self.kept.copies.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::block::{Block, BlockReader};
    use crate::snapshot::block_channel;
    use bytes::Bytes;
    use futures::StreamExt;
    use futures::executor::block_on;

    /// What a file has of entries that are kept in two parts, of which the second is appended to the first, with a
    /// removed key before and behind them. Whether they were copied.
    fn check<K: Key, V: Data>(entries: &[(K, V)]) -> bool {
        let (sender, receiver) = block_channel();
        let (mut out, spare) = (BlockWriter::new(sender), Spare::new());
        let (mut kept, mut rest) = (spare.take(), Kept::default());
        for (index, (key, value)) in entries.iter().cloned().enumerate() {
            let part = if index % 2 == 0 { &mut kept } else { &mut rest };
            part.push(&Full { key, value }).unwrap();
        }
        kept.append(&rest);
        let (groups, is_copied) = (KeyGroupRange::new(3, 5), !kept.copies.is_empty());
        out.append_removed(TableId(0), groups, 1, &[1, 7]);
        kept.write(TableId(0), groups, &spare, &mut out);
        out.append_removed(TableId(0), groups, 1, &[1, 8]);
        out.finish();
        let file = block_on(receiver.map(Result::unwrap).collect::<Vec<_>>()).concat();

        let mut expected = Vec::new();
        let (even, odd) = (entries.iter().step_by(2), entries.iter().skip(1).step_by(2));
        for (key, value) in even.chain(odd) {
            Entry::encode(key, value, &mut expected).unwrap();
        }
        let removed = |key| Block::Removed {
            table: TableId(0),
            key_groups: groups,
            keys: 1,
            payload: Bytes::copy_from_slice(&[1, key]),
        };
        let written = Block::Entries {
            table: TableId(0),
            key_groups: groups,
            entries: entries.len() as u32,
            payload: expected.into(),
        };
        let blocks: Vec<Block> = BlockReader::new(Bytes::from(file))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(blocks == [removed(7), written, removed(8)]);
        assert_eq!(spare.buffers().len(), 1);
        is_copied
    }

    #[test]
    fn numbers_are_copied_and_texts_encoded_and_both_are_in_the_file_in_order() {
        assert!(check(&(0..1_000_u64).map(|n| (n, n * n)).collect::<Vec<_>>()));
        assert!(check(&[(1_u8, ())]));
        assert!(!check(
            &(0..1_000).map(|n: u64| (n.to_string(), n)).collect::<Vec<_>>()
        ));
    }
}
