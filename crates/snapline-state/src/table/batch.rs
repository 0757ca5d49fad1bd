//! Access by batch: what many keys will need is fetched before the first is used.

use super::phase::Phase;
use super::{Slot, StateTable};
use snapline_core::{Data, Key};

/// So many keys of a batch are looked for before they are used: more than a core can wait for at once, and few
/// enough that what was fetched is still there when it is used.
const AT_ONCE: usize = 64;

/// With fewer segments a table is in the cache anyway.
const FETCH_FROM_SEGMENTS: usize = if cfg!(test) { 2 } else { 8 };

/// Where an entry most likely is: its segment and its bucket.
type Place = (u32, u32);

impl<K: Key, V: Data> StateTable<K, V> {
    /// Changes the values of a batch of keys, in order; `change` is told the position in the batch.
    #[inline]
    pub fn update_batch(
        &mut self,
        hashes: &[u64],
        keys: impl Iterator<Item = K>,
        change: impl FnMut(usize, Slot<'_, V>),
    ) {
        self.update_each(hashes, keys.enumerate().map(|(index, key)| (key, index)), change);
    }

    /// Changes the values of a batch of keys, in order; each comes with something that `change` needs.
    #[inline]
    pub fn update_each<A>(
        &mut self,
        hashes: &[u64],
        entries: impl Iterator<Item = (K, A)>,
        mut change: impl FnMut(A, Slot<'_, V>),
    ) {
        if self.segments.len() < FETCH_FROM_SEGMENTS {
            let mut entries = hashes.iter().copied().zip(entries);
            while let Some((hash, (key, attached))) = self.update_occupied(&mut entries, &mut change) {
                self.update(hash, key, |slot| change(attached, slot));
            }
            return;
        }
        self.update_fetched(hashes, entries, &mut change);
    }

    /// Looks at the values of a batch of keys that have one, in order.
    pub fn read_each<'k>(
        &self,
        hashes: &[u64],
        mut keys: impl Iterator<Item = &'k K>,
        mut look: impl FnMut(&V),
    ) {
        let mut places = [(0, 0); AT_ONCE];
        for hashes in hashes.chunks(AT_ONCE) {
            if self.segments.len() >= FETCH_FROM_SEGMENTS {
                self.fetch(hashes, &mut places[..hashes.len()]);
            }
            for (hash, key) in hashes.iter().zip(&mut keys) {
                self.get(*hash, key).into_iter().for_each(&mut look);
            }
        }
    }

    /// Changes values in a table that is larger than a cache. Apart, so that the loops have the registers for themselves.
    #[inline(never)]
    fn update_fetched<A>(
        &mut self,
        hashes: &[u64],
        mut entries: impl Iterator<Item = (K, A)>,
        change: &mut impl FnMut(A, Slot<'_, V>),
    ) {
        let mut places = [(0, 0); AT_ONCE];
        for hashes in hashes.chunks(AT_ONCE) {
            let places = &mut places[..hashes.len()];
            self.fetch(hashes, places);
            for ((hash, place), (key, attached)) in hashes.iter().zip(places).zip(&mut entries) {
                self.update_at(*place, *hash, key, |slot| change(attached, slot));
            }
        }
    }

    /// Changes values in the only segment, as long as there is nothing else to do, and returns the first key with which
    /// there is: it has no value yet, or the table is frozen or has several segments.
    #[inline]
    fn update_occupied<A>(
        &mut self,
        entries: &mut impl Iterator<Item = (u64, (K, A))>,
        change: &mut impl FnMut(A, Slot<'_, V>),
    ) -> Option<(u64, (K, A))> {
        let only = self.segments.only().filter(|_| !self.phase.is_frozen);
        let Some(segment) = only else {
            return entries.next();
        };
        let phase = Phase {
            tracks: !segment.is_all_noted(&self.phase),
            ..self.phase
        };
        for (hash, (key, attached)) in entries {
            match segment.value_to_change(hash, &key, &phase) {
                Some(value) => change(attached, Slot::Occupied(value)),
                None => return Some((hash, (key, attached))),
            }
        }
        None
    }

    /// Finds the place where each hash most likely is, and fetches it.
    ///
    /// Each loop is short, waits for nothing, and decides nothing that a processor could mispredict, so
    /// the cache misses of many keys overlap; a lookup by itself has to wait for its own, twice.
    #[inline]
    fn fetch(&self, hashes: &[u64], places: &mut [Place]) {
        for (hash, (segment, _)) in hashes.iter().zip(&mut *places) {
            let position = self.segments.position_of(*hash);
            *segment = position as u32;
            self.segments.prefetch(position);
        }
        if !self.segments.are_flat() {
            for (hash, (segment, _)) in hashes.iter().zip(&*places) {
                self.segments[*segment as usize].prefetch_tag(*hash);
            }
        }
        let is_frozen = self.phase.is_frozen;
        for (hash, (segment, bucket)) in hashes.iter().zip(places) {
            let segment = &self.segments[*segment as usize];
            *bucket = segment.prefetch(*hash, is_frozen) as u32;
        }
    }

    /// The same as `update`; an entry that is elsewhere than it seemed is searched for.
    #[inline]
    fn update_at(&mut self, (segment, bucket): Place, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>)) {
        let (segment, likely) = (segment as usize, bucket as usize);
        if self.is_undrained(hash) {
            self.keep_before_image_from(segment, likely, hash, &key);
        }
        if let Some(value) = self.segments[segment].value_to_change_from(likely, &key, &self.phase) {
            return change(Slot::Occupied(value));
        }
        self.update_elsewhere(hash, key, change);
    }

    /// Apart, so that the loop over those that are where they seemed to be stays short.
    #[inline(never)]
    fn update_elsewhere(&mut self, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>)) {
        self.update(hash, key, change);
    }
}
