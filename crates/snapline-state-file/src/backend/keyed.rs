//! The live state of one subtask.

use super::budget::Budget;
use super::change::{Change, decode, decode_value, encode_key, encode_value};
use super::flusher::{Batch, Flusher, Freeze};
use super::snapshot::{FileSnapshot, Tables};
use super::store::{Reader, Store};
use super::tier::{Slot, Tier};
use futures::channel::oneshot;
use snapline_core::{CheckpointId, Error, KeyGroup, KeyGroupRange, Result};
use snapline_state::{
    ByteTable, EntryVisitor, KeyedStateBackend, Snapshot, SnapshotChains, TableId, TableRef,
};
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// Hot entries in memory over all entries on disk.
///
/// Changes are collected in numbered *batches*. The open batch is what writes go to. A batch is closed by a freeze or
/// when it is long enough; from then on its entries are collected some hundred at a time, and given to the thread
/// that writes. An entry that changes before it is collected first gives its batch the value that it had. Batches are
/// written in order and as a whole, so after each of them the disk has the state of one moment: what the snapshot
/// of a freeze is read from.
///
/// An entry may be evicted when its batch is on disk, so what is not in memory is on disk as it should be.
#[derive(Debug)]
pub(super) struct FileKeyedState {
    tier: Tier,
    store: Store,
    reader: Reader,
    flusher: Flusher,
    tables: Tables,
    key_groups: KeyGroupRange,
    chains: SnapshotChains,
    budget: Budget,
    open: Open,
    /// Closed batches that are not known to be on disk; their numbers follow each other.
    closed: VecDeque<Closed>,
    /// How many bytes closed batches hold beside the entries.
    held: usize,
    /// All changes since this freeze are kept.
    tracked_since: u64,
    /// The most bytes that there were.
    #[cfg(test)]
    peak: usize,
    /// The table that was asked for last.
    table: TableId,
    key: Vec<u8>,
}

/// The batch that writes go to.
#[derive(Debug)]
struct Open {
    number: u64,
    slots: Vec<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Closed {
    bytes: usize,
    held: usize,
    /// The entries that are not collected.
    slots: Vec<u32>,
    /// `None` when it was given to the thread.
    batch: Option<Batch>,
}

impl Closed {
    /// Whether a snapshot waits for it.
    fn is_frozen(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.freeze.is_some())
    }

    /// Gives the batch an entry as it is.
    fn collect(&mut self, slot: &Slot, flusher: &Flusher) {
        let Some(batch) = &mut self.batch else {
            return;
        };
        let before = batch.changes.capacity();
        if before == 0 {
            batch.changes = flusher.room(self.slots.len());
        }
        batch.push(slot);
        self.held += (batch.changes.capacity() - before) * size_of::<Change>();
    }
}

/// A batch is closed when its entries take this part of the memory.
const BATCH_PART: usize = 16;
/// A task waits for the disk when the entries of unwritten batches take this part of the memory.
const UNWRITTEN_PART: usize = 3;
/// So many entries are collected at a time: some tens of microseconds.
const COLLECTED_AT_ONCE: usize = 256;
/// So many entries are collected for each write, so that batches are collected without a freeze too.
const COLLECTED_PER_WRITE: usize = 4;
/// Changes are kept until they are this long even if the state is shorter.
const KEPT_CHANGES: u64 = 64 * 1024 * 1024;

impl FileKeyedState {
    pub(super) fn new(
        store: Store,
        tables: Tables,
        key_groups: KeyGroupRange,
        chains: SnapshotChains,
        budget: Budget,
    ) -> Result<Self> {
        Ok(Self {
            tier: Tier::new(),
            reader: store.reader(),
            flusher: Flusher::start(store.clone())?,
            store,
            tables,
            key_groups,
            chains,
            budget,
            open: Open {
                number: 1,
                slots: Vec::new(),
                bytes: 0,
            },
            closed: VecDeque::new(),
            held: 0,
            tracked_since: 0,
            #[cfg(test)]
            peak: 0,
            table: TableId(0),
            key: Vec::new(),
        })
    }

    /// How many bytes are in memory, but for buffers.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.tier.allocated() + self.batches() + self.store.resident()
    }

    /// How many bytes are taken by changes on their way to the disk, beside the entries.
    fn batches(&self) -> usize {
        self.open.slots.capacity() * size_of::<u32>() + self.held + self.flusher.spare_bytes()
    }

    /// How many bytes were in memory at the most.
    #[cfg(test)]
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    fn note_peak(&mut self) {
        #[cfg(test)]
        {
            self.peak = self.peak.max(self.bytes());
        }
    }

    /// The files of this moment.
    #[cfg(test)]
    pub(super) fn version(&self) -> std::sync::Arc<super::files::Version> {
        self.store.version()
    }

    /// The disk of the scratch folder.
    #[cfg(test)]
    pub(super) fn disk(&self) -> &super::files::TestDisk {
        self.store.disk()
    }

    /// Ends the state and waits until nothing of it is left.
    #[cfg(test)]
    pub(super) fn end(self) {
        let Self { flusher, .. } = self;
        flusher.end();
    }

    /// How many bytes entries may take.
    fn limit(&self) -> usize {
        self.budget.entries(self.store.resident(), self.batches())
    }

    fn find(&mut self, group: KeyGroup, key: &[u8]) -> Option<u32> {
        encode_key(self.table, group, key, &mut self.key);
        self.tier.find(&self.key)
    }

    fn write(&mut self, group: KeyGroup, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let stored = encode_value(key, value);
        encode_key(self.table, group, key, &mut self.key);
        let more = Tier::bytes_of(&self.key, stored.as_deref());
        self.make_room(more)?;
        let batch = self.open.number;
        match self.tier.find(&self.key) {
            Some(slot) => {
                if self.tier.slot(slot).batch != batch {
                    self.keep_image(slot);
                    self.open.slots.push(slot);
                    self.open.bytes += more;
                }
                self.tier.replace(slot, stored, batch);
            }
            None => {
                let slot = self.tier.insert(&self.key, stored, batch);
                self.open.slots.push(slot);
                self.open.bytes += more;
            }
        }
        self.note_peak();
        if self.open.bytes > self.limit() / BATCH_PART {
            self.close(None);
        }
        self.collect_early();
        Ok(())
    }

    /// Gives a closed batch the value that an entry of it had.
    fn keep_image(&mut self, slot: u32) {
        let slot = self.tier.slot(slot);
        let first = self.open.number - self.closed.len() as u64;
        let Some(index) = slot.batch.checked_sub(first) else {
            return;
        };
        let closed = &mut self.closed[index as usize];
        let before = closed.held;
        // The value goes on being there when the entry has another.
        closed.held += Tier::bytes_of(&slot.key, slot.value()) - Tier::bytes_of(&[], None);
        closed.collect(slot, &self.flusher);
        self.held += closed.held - before;
    }

    /// Makes room for more bytes, waiting for the disk if it has to.
    fn make_room(&mut self, more: usize) -> Result<()> {
        self.forget_written();
        let is_behind = self.held > 2 * self.budget.batches();
        if is_behind || self.unwritten() > self.limit() / UNWRITTEN_PART {
            self.wait_for_oldest()?;
        }
        while self.tier.bytes() + more > self.limit() {
            if self.tier.evict(self.flusher.flushed()) {
                continue;
            }
            if self.closed.is_empty() {
                if self.open.slots.is_empty() {
                    // One entry that is larger than the memory that was allowed.
                    return Ok(());
                }
                self.close(None);
            }
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    fn unwritten(&self) -> usize {
        self.closed.iter().map(|batch| batch.bytes).sum()
    }

    fn wait_for_oldest(&mut self) -> Result<()> {
        if self.closed.is_empty() {
            return Ok(());
        }
        while self.closed.front().is_some_and(|batch| batch.batch.is_some()) {
            self.collect(usize::MAX);
        }
        let oldest = self.open.number - self.closed.len() as u64;
        self.flusher.wait(oldest)?;
        self.forget_written();
        Ok(())
    }

    /// Forgets the closed batches that are on disk.
    fn forget_written(&mut self) {
        let flushed = self.flusher.flushed();
        self.reader.renew();
        while self.open.number - self.closed.len() as u64 <= flushed {
            let Some(written) = self.closed.pop_front() else {
                return;
            };
            self.held -= written.held;
        }
    }

    /// Closes the open batch.
    fn close(&mut self, freeze: Option<Freeze>) -> u64 {
        let number = self.open.number;
        if freeze.as_ref().is_none_or(|freeze| freeze.since.is_none()) {
            self.limit_changes(number);
        }
        let open = Open {
            number: number + 1,
            slots: Vec::new(),
            bytes: 0,
        };
        let closed = std::mem::replace(&mut self.open, open);
        let held = closed.slots.capacity() * size_of::<u32>();
        self.held += held;
        self.closed.push_back(Closed {
            bytes: closed.bytes,
            held,
            batch: Some(Batch {
                number,
                changes: Vec::new(),
                keep_since: self.tracked_since,
                freeze,
            }),
            slots: closed.slots,
        });
        let excess = self.tier.allocated().saturating_sub(self.limit());
        if excess > 0 {
            self.tier.give_back(excess, self.flusher.flushed());
        }
        number
    }

    /// Collects some entries of the oldest batch, unless enough are on their way to the disk and no snapshot waits: until
    /// then the entries themselves are all that is in memory.
    fn collect_early(&mut self) {
        let is_enough = self.batches() > self.budget.batches();
        if !is_enough || self.closed.iter().any(Closed::is_frozen) {
            self.collect(COLLECTED_PER_WRITE);
        }
    }

    /// Collects some entries of the oldest batch that is not collected; `true` when there is none.
    fn collect(&mut self, most: usize) -> bool {
        let first = self.open.number - self.closed.len() as u64;
        let waiting = self.closed.iter().position(|closed| closed.batch.is_some());
        let Some(index) = waiting else {
            return true;
        };
        let closed = &mut self.closed[index];
        let from = closed.slots.len().saturating_sub(most);
        let before = closed.held;
        for at in (from..closed.slots.len()).rev() {
            let slot = self.tier.slot(closed.slots[at]);
            if slot.batch == first + index as u64 {
                closed.collect(slot, &self.flusher);
            }
        }
        closed.slots.truncate(from);
        self.held += closed.held - before;
        if closed.slots.is_empty()
            && let Some(batch) = closed.batch.take()
        {
            self.flusher.send(batch);
        }
        let flushed = self.flusher.flushed();
        let limit = self.limit();
        while self.tier.bytes() > limit && self.tier.evict(flushed) {}
        false
    }

    /// Brings all changes to the disk.
    fn flush(&mut self) -> Result<()> {
        if !self.open.slots.is_empty() {
            self.close(None);
        }
        while !self.collect(usize::MAX) {}
        self.flusher.wait(self.open.number - 1)?;
        self.forget_written();
        Ok(())
    }

    /// From when on changes have to be kept: not if they become longer than the state.
    fn limit_changes(&mut self, batch: u64) {
        if self.flusher.kept_bytes() > self.most_kept() {
            self.tracked_since = batch;
        }
    }

    fn most_kept(&self) -> u64 {
        KEPT_CHANGES.max(self.store.bytes())
    }
}

impl KeyedStateBackend for FileKeyedState {
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>> {
        if usize::from(table.0) >= self.tables.wanted {
            return Err(Error::internal("there is no such state table").with("table", table.0));
        }
        self.table = table;
        Ok(TableRef::Bytes(self))
    }

    fn freeze(&mut self, checkpoint: CheckpointId, base: Option<CheckpointId>) -> Result<Box<dyn Snapshot>> {
        let complete = base;
        let base = base.and_then(|base| self.chains.base_of_all_since(base, self.tracked_since));
        let base = base.filter(|base| base.freeze >= self.tracked_since);
        let (sender, frozen) = oneshot::channel();
        let since = base.as_ref().map(|base| base.freeze);
        if let Some(base) = &base {
            // To merge deltas, the changes of all of them are kept, unless they have become long.
            let first = match self.flusher.kept_bytes() > self.most_kept() / 2 {
                true => base.freeze,
                false => base.first_freeze(),
            };
            self.tracked_since = self.tracked_since.max(first);
        }
        let freeze = self.close(Some(Freeze {
            since,
            frozen: sender,
        }));
        Ok(Box::new(FileSnapshot {
            checkpoint,
            freeze,
            chains: self.chains.clone(),
            base,
            key_groups: self.key_groups,
            tables: self.tables.clone(),
            frozen,
            store: self.store.clone(),
            complete,
        }))
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.forget_written();
        if self.collect(COLLECTED_AT_ONCE) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl ByteTable for FileKeyedState {
    fn get(&mut self, group: KeyGroup, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(slot) = self.find(group, key) {
            let value = self.tier.slot(slot).value();
            let value = value.map(|stored| decode_value(key, stored)).transpose()?;
            return Ok(value.flatten().map(<[u8]>::to_vec));
        }
        let Some(stored) = self.reader.get(&self.key)? else {
            return Ok(None);
        };
        let value = decode_value(key, &stored)?.map(<[u8]>::to_vec);
        // When the disk cannot be written, reads go on without keeping what they read.
        if self.make_room(Tier::bytes_of(&self.key, Some(&stored))).is_ok() {
            self.tier.insert(&self.key, Some(stored), 0);
            self.note_peak();
        }
        Ok(value)
    }

    fn put(&mut self, group: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(group, key, Some(value))
    }

    fn delete(&mut self, group: KeyGroup, key: &[u8]) -> Result<()> {
        self.write(group, key, None)
    }

    fn scan(&mut self, visit: EntryVisitor<'_>) -> Result<()> {
        self.flush()?;
        let mut entries = self.store.entries_of(self.table)?;
        while let Some((key, value)) = entries.next_entry()? {
            let entry = decode(key, value)?;
            if entry.table != self.table {
                break;
            }
            if let Some(value) = entry.value {
                visit(entry.key, value)?;
            }
        }
        Ok(())
    }

    /// Only what is in files, where newer changes may be missing; the place is a key there.
    fn scan_some(&mut self, place: &mut Vec<u8>, entries: usize, visit: EntryVisitor<'_>) -> Result<bool> {
        let mut from = std::mem::take(place);
        match from.is_empty() {
            true => from.extend_from_slice(&self.table.0.to_be_bytes()),
            // The first key behind the last one.
            false => from.push(0),
        }
        let mut found = self.store.entries_from(&from)?;
        for _ in 0..entries {
            let Some((key, value)) = found.next_entry()? else {
                return Ok(true);
            };
            let entry = decode(key, value)?;
            if entry.table != self.table {
                return Ok(true);
            }
            if let Some(value) = entry.value {
                visit(entry.key, value)?;
            }
            from.clear();
            from.extend_from_slice(key);
        }
        *place = from;
        Ok(false)
    }
}
