//! A small open-addressing table: the unit of growth and of a snapshot.

use crate::format::block::Entry;
use snapline_core::{Data, Key, Result};

const FIRST_BUCKETS: usize = 16;
const MOST_BUCKETS: usize = 4096;
/// Deeper segments grow instead of splitting, so that keys of one hash cannot split for ever.
const DEEPEST: u32 = 24;

/// Entries whose hashes share their top `depth` bits.
#[derive(Debug)]
pub(super) struct Segment<K, V> {
    buckets: Vec<Bucket<K, V>>,
    /// Buckets that are not empty, tombstones included.
    used: usize,
    depth: u32,
    first_hash: u32,
    frozen: Frozen,
}

#[derive(Debug)]
enum Bucket<K, V> {
    Empty,
    Removed,
    Full { tag: u32, key: K, value: V },
}

/// What the segment remembers for a running snapshot.
#[derive(Debug, Default)]
struct Frozen {
    /// The snapshot that `kept` and `before` belong to.
    generation: u64,
    /// The newest snapshot for which the segment has been encoded.
    drained: u64,
    /// A bit for each bucket that must not be encoded any more.
    kept: Vec<u64>,
    /// Entries as they were before they changed.
    before: Vec<u8>,
    before_entries: u32,
}

/// Where a key is.
pub(super) enum Located {
    /// In this bucket.
    At(usize),
    /// Nowhere.
    Missing,
}

/// An encoded segment.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) first_hash: u32,
    pub(super) last_hash: u32,
    pub(super) entries: u32,
    pub(super) payload: Vec<u8>,
}

impl<K: Key, V: Data> Segment<K, V> {
    pub(super) fn new(depth: u32, first_hash: u32) -> Self {
        Self {
            buckets: empty(FIRST_BUCKETS),
            used: 0,
            depth,
            first_hash,
            frozen: Frozen::default(),
        }
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    pub(super) fn first_hash(&self) -> u32 {
        self.first_hash
    }

    pub(super) fn get(&self, tag: u32, key: &K) -> Option<&V> {
        let Located::At(index) = self.locate(tag, key) else {
            return None;
        };
        match &self.buckets[index] {
            Bucket::Full { value, .. } => Some(value),
            Bucket::Empty | Bucket::Removed => None,
        }
    }

    #[inline]
    pub(super) fn locate(&self, tag: u32, key: &K) -> Located {
        let mask = self.buckets.len() - 1;
        let mut index = home(tag, mask);
        loop {
            match &self.buckets[index] {
                Bucket::Empty => return Located::Missing,
                Bucket::Full {
                    tag: found,
                    key: other,
                    ..
                } if *found == tag && other == key => {
                    return Located::At(index);
                }
                Bucket::Full { .. } | Bucket::Removed => index = (index + 1) & mask,
            }
        }
    }

    /// The value in a bucket that [`Segment::locate`] has found.
    #[inline]
    pub(super) fn value_mut(&mut self, index: usize) -> &mut V {
        match &mut self.buckets[index] {
            Bucket::Full { value, .. } => value,
            Bucket::Empty | Bucket::Removed => unreachable!("a located bucket is full"),
        }
    }

    #[inline]
    pub(super) fn touch(&self, tag: u32) -> u32 {
        match &self.buckets[home(tag, self.buckets.len() - 1)] {
            Bucket::Full { tag, .. } => *tag,
            Bucket::Empty | Bucket::Removed => 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.used * 16 >= self.buckets.len() * 13
    }

    pub(super) fn can_grow(&self) -> bool {
        self.buckets.len() < MOST_BUCKETS || self.depth >= DEEPEST || self.live() * 2 <= self.buckets.len()
    }

    /// Inserts a key that is missing. With a running snapshot, its bucket is marked as not part of it.
    pub(super) fn insert(&mut self, tag: u32, key: K, value: V, snapshot: Option<u64>) {
        let mask = self.buckets.len() - 1;
        let mut index = home(tag, mask);
        while let Bucket::Full { .. } = self.buckets[index] {
            index = (index + 1) & mask;
        }
        if let Some(generation) = snapshot {
            self.frozen.mark(index, generation, self.buckets.len());
        }
        self.used += usize::from(matches!(self.buckets[index], Bucket::Empty));
        self.buckets[index] = Bucket::Full { tag, key, value };
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<V> {
        match std::mem::replace(&mut self.buckets[index], Bucket::Removed) {
            Bucket::Full { value, .. } => Some(value),
            Bucket::Empty | Bucket::Removed => None,
        }
    }

    /// Encodes an entry that is about to change, unless this snapshot has it already.
    pub(super) fn keep_before_image(&mut self, index: usize, generation: u64) -> Result<()> {
        if !self.frozen.mark(index, generation, self.buckets.len()) {
            return Ok(());
        }
        if let Bucket::Full { key, value, .. } = &self.buckets[index] {
            Entry::encode(key, value, &mut self.frozen.before)?;
            self.frozen.before_entries += 1;
        }
        Ok(())
    }

    /// Encodes the segment as it was when the snapshot was taken; `None` when that was done already
    /// or there is nothing in it.
    pub(super) fn drain(&mut self, generation: u64) -> Result<Option<Run>> {
        if self.frozen.drained == generation {
            return Ok(None);
        }
        self.frozen.begin(generation, self.buckets.len());
        self.frozen.drained = generation;
        let mut payload = std::mem::take(&mut self.frozen.before);
        let mut entries = std::mem::take(&mut self.frozen.before_entries);
        for (index, bucket) in self.buckets.iter().enumerate() {
            if let Bucket::Full { key, value, .. } = bucket
                && !self.frozen.is_marked(index)
            {
                Entry::encode(key, value, &mut payload)?;
                entries += 1;
            }
        }
        let last_hash = self.first_hash | (u64::from(u32::MAX) >> self.depth) as u32;
        Ok((entries > 0).then_some(Run {
            first_hash: self.first_hash,
            last_hash,
            entries,
            payload,
        }))
    }

    /// Moves to a table with room: twice the buckets, or the same without tombstones.
    pub(super) fn grow(&mut self) {
        let full = self.live() * 2 > self.buckets.len();
        let buckets = if full {
            self.buckets.len() * 2
        } else {
            self.buckets.len()
        };
        let old = std::mem::replace(&mut self.buckets, empty(buckets));
        self.refill(old);
    }

    /// Gives the entries whose next bit is set away to a new segment.
    pub(super) fn split(&mut self) -> Self {
        self.depth += 1;
        let bit = 1_u32 << (32 - self.depth);
        let mut upper = Self::new(self.depth, self.first_hash | bit);
        upper.frozen.drained = self.frozen.drained;
        let (high, low) = std::mem::replace(&mut self.buckets, empty(MOST_BUCKETS))
            .into_iter()
            .partition(|bucket| matches!(bucket, Bucket::Full { tag, .. } if tag & bit != 0));
        self.refill(low);
        upper.buckets = empty(MOST_BUCKETS);
        upper.refill(high);
        upper
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().filter_map(|bucket| match bucket {
            Bucket::Full { key, value, .. } => Some((key, value)),
            Bucket::Empty | Bucket::Removed => None,
        })
    }

    fn refill(&mut self, old: Vec<Bucket<K, V>>) {
        self.used = 0;
        for bucket in old {
            if let Bucket::Full { tag, key, value } = bucket {
                self.insert(tag, key, value, None);
            }
        }
    }

    fn live(&self) -> usize {
        self.iter().count()
    }
}

impl Frozen {
    /// Whether a bucket became marked; not when it was, or the segment has been encoded.
    fn mark(&mut self, index: usize, generation: u64, buckets: usize) -> bool {
        if self.drained == generation {
            return false;
        }
        self.begin(generation, buckets);
        let bit = 1 << (index % 64);
        let fresh = self.kept[index / 64] & bit == 0;
        self.kept[index / 64] |= bit;
        fresh
    }

    fn is_marked(&self, index: usize) -> bool {
        self.kept[index / 64] & (1 << (index % 64)) != 0
    }

    /// Forgets what an older snapshot has left behind.
    fn begin(&mut self, generation: u64, buckets: usize) {
        if self.generation == generation {
            return;
        }
        self.generation = generation;
        self.kept.clear();
        self.kept.resize(buckets.div_ceil(64), 0);
        self.before.clear();
        self.before_entries = 0;
    }
}

fn empty<K, V>(buckets: usize) -> Vec<Bucket<K, V>> {
    std::iter::repeat_with(|| Bucket::Empty).take(buckets).collect()
}

/// The bucket where the search for a hash begins. The top bits chose the segment; the rest is mixed
/// so that runs of neighbouring hashes do not pile up.
#[inline]
fn home(tag: u32, mask: usize) -> usize {
    tag as usize & mask
}
