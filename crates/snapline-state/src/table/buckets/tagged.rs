//! Entries in a table that looks at a byte of each hash before it looks at a key.

use super::Full;
use hashbrown::HashTable;
use snapline_core::{Data, Key};
use snapline_prefetch::{prefetch, prefetch_at};

/// Entries behind whose buckets are the bytes that a search reads first.
#[derive(Debug)]
pub(in crate::table) struct Tagged<K, V> {
    table: HashTable<Full<K, V>>,
    /// The address of the bytes, one for each bucket, which a search in the table reads first: they stand behind the
    /// buckets, of which the first is the last. A hint; that it is wrong costs time.
    tags: usize,
    /// A bit for each bucket.
    changed: Box<[u64]>,
}

/// Of eight buckets seven are filled.
pub(super) const fn room_of(buckets: usize) -> usize {
    buckets / 8 * 7
}

impl<K: Key, V: Data> Tagged<K, V> {
    pub(super) fn new() -> Self {
        Self::of(HashTable::new())
    }

    pub(super) fn with_room_for(entries: usize) -> Self {
        Self::of(HashTable::with_capacity(entries.max(room_of(16))))
    }

    fn of(table: HashTable<Full<K, V>>) -> Self {
        let changed = vec![0; table.num_buckets().div_ceil(64)].into();
        Self {
            table,
            tags: 0,
            changed,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.table.num_buckets()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn room(&self) -> usize {
        self.table.capacity()
    }

    #[inline(always)]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        self.table.find_bucket_index(hash, |full| full.key == *key)
    }

    /// The value of a key; if `is_noted`, its bucket is marked as changed.
    #[inline(always)]
    pub(super) fn value(&mut self, hash: u64, key: &K, is_noted: bool) -> Option<&mut V> {
        let found = self.table.find_entry(hash, |full| full.key == *key).ok()?;
        if is_noted {
            note(&mut self.changed, found.bucket_index());
        }
        Some(&mut found.into_mut().value)
    }

    /// The bucket itself, if it has the key.
    #[inline(always)]
    pub(super) fn find_at(&self, bucket: usize, key: &K) -> Option<usize> {
        let full = self.table.get_bucket(bucket)?;
        (full.key == *key).then_some(bucket)
    }

    /// The value in the bucket itself, if it has the key.
    #[inline(always)]
    pub(super) fn value_at(&mut self, bucket: usize, key: &K, is_noted: bool) -> Option<&mut V> {
        let full = self
            .table
            .get_bucket_mut(bucket)
            .filter(|full| full.key == *key)?;
        if is_noted {
            note(&mut self.changed, bucket);
        }
        Some(&mut full.value)
    }

    #[inline(always)]
    pub(super) fn prefetch_tag(&self, hash: u64) {
        let home = hash as usize & (self.table.num_buckets() - 1);
        prefetch_at(self.tags.wrapping_add(home), || {
            self.table.get_bucket(home).is_some()
        });
    }

    #[inline(always)]
    pub(super) fn likely(&self, hash: u64) -> usize {
        let bucket = self.table.find_bucket_index(hash, |_| true).unwrap_or(0);
        self.prefetch(bucket);
        prefetch_at(self.changed.as_ptr().wrapping_add(bucket / 64).addr(), || {
            self.changed.get(bucket / 64).copied()
        });
        bucket
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, bucket: usize) {
        if let Some(full) = self.table.get_bucket(bucket) {
            let is_plain = const { !std::mem::needs_drop::<K>() };
            prefetch(full, || is_plain.then(|| full.key.clone()));
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, bucket: usize) -> Option<&Full<K, V>> {
        self.table.get_bucket(bucket)
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64, full: Full<K, V>) -> usize {
        // There is room, so nothing is hashed again.
        debug_assert!(self.len() < self.room(), "entries have to move first");
        let placed = self.table.insert_unique(hash, full, |_| hash);
        let bucket = placed.bucket_index();
        self.tags = std::ptr::from_ref(placed.get()).wrapping_add(bucket + 1).addr();
        bucket
    }

    pub(super) fn remove(&mut self, bucket: usize) -> Option<Full<K, V>> {
        let entry = self.table.get_bucket_entry(bucket).ok()?;
        Some(entry.remove().0)
    }

    pub(super) fn full_in(&self, word: usize) -> u64 {
        let buckets = 64 * word..self.table.num_buckets().min(64 * (word + 1));
        let bit = |(index, bucket)| u64::from(self.table.get_bucket(bucket).is_some()) << index;
        (0..).zip(buckets).map(bit).fold(0, |bits, bit| bits | bit)
    }

    #[inline]
    pub(super) fn changed_in(&self, word: usize) -> u64 {
        self.changed.get(word).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn set_changed(&mut self, bucket: usize, is_changed: bool) {
        if let Some(word) = self.changed.get_mut(bucket / 64) {
            *word = *word & !(1 << (bucket % 64)) | u64::from(is_changed) << (bucket % 64);
        }
    }

    pub(super) fn forget_changed(&mut self) {
        self.changed.fill(0);
    }
}

/// Marks a bucket, which most likely is marked.
///
/// Not to write is worth a branch then: in a small table the next entries have their bits in the same words, and each of
/// them would wait for the last to be written.
#[inline(always)]
fn note(changed: &mut [u64], bucket: usize) {
    if let Some(word) = changed.get_mut(bucket / 64)
        && *word & 1 << (bucket % 64) == 0
    {
        *word |= 1 << (bucket % 64);
    }
}
