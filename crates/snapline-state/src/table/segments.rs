//! The segments of a table, and which of them has a key.

use super::phase::Phase;
use super::segment::Segment;
use snapline_core::{Data, Key, StableHasher};
use std::ops::{Index, IndexMut};

/// Segments that divide the low hashes among them.
#[derive(Debug)]
pub(super) struct Segments<K, V> {
    /// For each value of the top `depth` bits of a low hash, the segment that has it.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment<K, V>>,
}

impl<K: Key, V: Data> Segments<K, V> {
    /// One empty segment.
    pub(super) fn new() -> Self {
        Self::of(vec![Segment::new(0, 0)])
    }

    /// These segments, of which no two share a hash. Hashes that none of them has must not be asked for.
    pub(super) fn of(segments: Vec<Segment<K, V>>) -> Self {
        let depth = segments.iter().map(Segment::depth).max().unwrap_or(0);
        let mut all = Self {
            directory: vec![0; 1 << depth],
            depth,
            segments,
        };
        for index in 0..all.segments.len() {
            all.enter(index);
        }
        all
    }

    pub(super) fn into_inner(self) -> Vec<Segment<K, V>> {
        self.segments
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// The segment, if there is only one.
    #[inline]
    pub(super) fn only(&mut self) -> Option<&mut Segment<K, V>> {
        match &mut *self.segments {
            [segment] => Some(segment),
            _ => None,
        }
    }

    /// The segment that has a hash.
    #[inline]
    pub(super) fn position_of(&self, hash: u64) -> usize {
        self.directory[self.slot(hash as u32)] as usize
    }

    /// Fetches what [`Segment::prefetch`] reads of a segment.
    #[inline(always)]
    pub(super) fn prefetch(&self, position: usize) {
        let segment = &self.segments[position];
        segment.prefetch_itself();
    }

    /// Whether searches need no [`Segment::prefetch_tag`], about.
    pub(super) fn are_flat(&self) -> bool {
        Segment::<K, V>::is_flat_at(self.depth)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.segments.iter().flat_map(Segment::iter)
    }

    /// Inserts a key that is missing. It is not part of the running snapshot.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V, phase: Phase, hasher: &mut StableHasher) {
        let mut index = self.position_of(hash);
        while self.segments[index].is_full() {
            self.make_room(index, phase, hasher);
            index = self.position_of(hash);
        }
        self.segments[index].insert(hash, key, value, phase);
    }

    /// Sets the value of a key, which is there or not; whether it was not. Not while there is a snapshot.
    pub(super) fn put(&mut self, hash: u64, key: K, value: V, hasher: &mut StableHasher) -> bool {
        let index = self.position_of(hash);
        if let Some(old) = self.segments[index].get_mut(hash, &key) {
            *old = value;
            return false;
        }
        self.insert(hash, key, value, Phase::default(), hasher);
        true
    }

    /// Removes a key; whether it was there. Not while there is a snapshot.
    pub(super) fn remove(&mut self, hash: u64, key: &K, hasher: &mut StableHasher) -> bool {
        let index = self.position_of(hash);
        let removed = self.segments[index].remove(hash, key, Phase::default(), hasher);
        removed.is_some()
    }

    #[cold]
    fn make_room(&mut self, index: usize, phase: Phase, hasher: &mut StableHasher) {
        if !self.segments[index].must_split() {
            self.segments[index].resize(phase, hasher);
            return;
        }
        if self.segments[index].depth() == self.depth {
            let twice = |segment: &u32| [*segment, *segment];
            self.directory = self.directory.iter().flat_map(twice).collect();
            self.depth += 1;
        }
        let upper = self.segments[index].split(phase, hasher);
        self.segments.push(upper);
        self.enter(self.segments.len() - 1);
    }

    /// Writes a segment to the directory.
    fn enter(&mut self, index: usize) {
        let segment = &self.segments[index];
        let first = self.slot(segment.first_hash());
        let count = 1_usize << (self.depth - segment.depth());
        self.directory[first..first + count].fill(index as u32);
    }

    /// The place in the directory of a low hash.
    #[inline]
    fn slot(&self, low: u32) -> usize {
        ((u64::from(low) << self.depth) >> 32) as usize
    }
}

impl<K, V> Index<usize> for Segments<K, V> {
    type Output = Segment<K, V>;

    #[inline]
    fn index(&self, index: usize) -> &Self::Output {
        &self.segments[index]
    }
}

impl<K, V> IndexMut<usize> for Segments<K, V> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut Self::Output {
        &mut self.segments[index]
    }
}
