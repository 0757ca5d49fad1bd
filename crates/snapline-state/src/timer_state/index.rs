//! Which key has the next timer.

use snapline_core::{Key, StableHasher, Timestamp};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The keys that have timers, by the time of their first.
#[derive(Debug)]
pub(super) struct TimerIndex<K>(BTreeSet<Place<K>>);

/// The place of a key: its first timer has this time.
#[derive(Debug, Clone)]
pub(super) struct Place<K> {
    pub(super) time: Timestamp,
    pub(super) hash: u64,
    pub(super) key: K,
}

impl<K: Key> TimerIndex<K> {
    pub(super) fn first(&self) -> Option<&Place<K>> {
        self.0.first()
    }

    /// The first place, if its time is no later.
    pub(super) fn take_first(&mut self, until: Timestamp) -> Option<Place<K>> {
        let is_due = self.0.first().is_some_and(|place| place.time <= until);
        if is_due { self.0.pop_first() } else { None }
    }

    pub(super) fn insert(&mut self, place: Place<K>) {
        self.0.insert(place);
    }

    /// Moves a key whose first timer has another time than before.
    pub(super) fn change(&mut self, hash: u64, key: &K, before: Option<Timestamp>, after: Option<Timestamp>) {
        let place = |time| Place {
            time,
            hash,
            key: key.clone(),
        };
        if let Some(before) = before {
            self.0.remove(&place(before));
        }
        if let Some(after) = after {
            self.0.insert(place(after));
        }
    }
}

impl<K> Default for TimerIndex<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Key> FromIterator<Place<K>> for TimerIndex<K> {
    fn from_iter<I: IntoIterator<Item = Place<K>>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}

impl<K: Key> Ord for Place<K> {
    /// By time and hash. Keys need have no order, so two of one hash are ordered by their encodings.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_hash = (self.time, self.hash).cmp(&(other.time, other.hash));
        by_hash.then_with(|| {
            if self.key == other.key {
                Ordering::Equal
            } else {
                encoding(&self.key).cmp(&encoding(&other.key))
            }
        })
    }
}

/// Every key here was encoded before, for its hash.
#[cold]
fn encoding<K: Key>(key: &K) -> Vec<u8> {
    let mut hasher = StableHasher::new();
    hasher.encode(key).map(<[u8]>::to_vec).unwrap_or_default()
}

impl<K: Key> PartialOrd for Place<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Key> PartialEq for Place<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Key> Eq for Place<K> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_hash_have_places_of_their_own() {
        let mut index = TimerIndex::default();
        let place = |time, key: &str| Place {
            time: Timestamp(time),
            hash: 7,
            key: key.to_owned(),
        };
        for key in ["b", "a", "b"] {
            index.insert(place(1, key));
        }
        index.change(7, &"a".to_owned(), Some(Timestamp(1)), Some(Timestamp(0)));
        let taken = std::iter::from_fn(|| index.take_first(Timestamp(1)));
        let taken: Vec<_> = taken.map(|place| (place.time.0, place.key)).collect();
        assert_eq!(taken, [(0, "a".to_owned()), (1, "b".to_owned())]);
    }

    #[test]
    fn what_is_later_stays() {
        let mut index: TimerIndex<u64> = (0..10)
            .map(|key| Place {
                time: Timestamp(-key),
                hash: key as u64,
                key: key as u64,
            })
            .collect();
        let taken = std::iter::from_fn(|| index.take_first(Timestamp(-5))).count();
        assert_eq!((taken, index.first().map(|place| place.key)), (5, Some(4)));
    }
}
