//! The timers of one key.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snapline_core::Timestamp;
use std::collections::BTreeSet;

/// Some timers in order, each once. They are stored as a sequence of times with their namespaces.
///
/// Most keys have one timer, which then takes no memory beside its table entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Timers<N> {
    #[default]
    None,
    One(Timestamp, N),
    #[expect(
        clippy::box_collection,
        reason = "so the entry of a key with one timer is small"
    )]
    Many(Box<BTreeSet<(Timestamp, N)>>),
}

impl<N: Clone + Ord> Timers<N> {
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::One(time, _) => Some(*time),
            Self::Many(timers) => timers.first().map(|(time, _)| *time),
        }
    }

    pub(super) fn has(&self, time: Timestamp, namespace: &N) -> bool {
        match self {
            Self::None => false,
            Self::One(own, of) => *own == time && of == namespace,
            Self::Many(timers) => timers.contains(&(time, namespace.clone())),
        }
    }

    pub(super) fn insert(&mut self, time: Timestamp, namespace: N) {
        match std::mem::take(self) {
            Self::None => *self = Self::One(time, namespace),
            Self::One(first, of) => {
                *self = Self::of(Box::new(BTreeSet::from([(first, of), (time, namespace)])));
            }
            Self::Many(mut timers) => {
                timers.insert((time, namespace));
                *self = Self::Many(timers);
            }
        }
    }

    pub(super) fn remove(&mut self, time: Timestamp, namespace: &N) {
        match std::mem::take(self) {
            Self::One(own, of) if own == time && of == *namespace => {}
            Self::Many(mut timers) => {
                timers.remove(&(time, namespace.clone()));
                *self = Self::of(timers);
            }
            other => *self = other,
        }
    }

    pub(super) fn take_first(&mut self) -> Option<(Timestamp, N)> {
        match std::mem::take(self) {
            Self::None => None,
            Self::One(time, namespace) => Some((time, namespace)),
            Self::Many(mut timers) => {
                let first = timers.pop_first();
                *self = Self::of(timers);
                first
            }
        }
    }

    pub(super) fn to_vec(&self) -> Vec<(Timestamp, N)> {
        match self {
            Self::None => Vec::new(),
            Self::One(time, namespace) => vec![(*time, namespace.clone())],
            Self::Many(timers) => timers.iter().cloned().collect(),
        }
    }

    /// Of a set of one the memory is given back.
    #[expect(clippy::box_collection, reason = "it stays where it is")]
    fn of(mut timers: Box<BTreeSet<(Timestamp, N)>>) -> Self {
        if timers.len() > 1 {
            return Self::Many(timers);
        }
        let one = timers.pop_first();
        one.map_or(Self::None, |(time, namespace)| Self::One(time, namespace))
    }
}

impl<N: Serialize> Serialize for Timers<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.collect_seq::<[(Timestamp, N); 0]>([]),
            Self::One(time, namespace) => serializer.collect_seq([(time, namespace)]),
            Self::Many(timers) => serializer.collect_seq(timers.iter()),
        }
    }
}

impl<'de, N: Deserialize<'de> + Clone + Ord> Deserialize<'de> for Timers<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(deserializer).map(|timers| Self::of(Box::new(timers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::{decode, encode_into};

    /// The same steps on an ordered set, and what is stored after each.
    #[test]
    fn timers_are_an_ordered_set_however_many_there_are() {
        let mut timers = Timers::One(Timestamp(5), 0_u8);
        let mut expected = BTreeSet::from([(Timestamp(5), 0_u8)]);
        let steps = [5_i64, 3, 5, -3, -5, 0, 7, 0, 0, 9, 8, 9, -8, 0, 0, 1, 2, -1];
        for step in steps {
            match step {
                0 => assert_eq!(timers.take_first(), expected.pop_first()),
                1.. => {
                    timers.insert(Timestamp(step), 1);
                    expected.insert((Timestamp(step), 1));
                }
                _ => {
                    timers.remove(Timestamp(-step), &1);
                    expected.remove(&(Timestamp(-step), 1));
                }
            }
            assert!(timers.to_vec().iter().eq(&expected), "after {step}");
            assert_eq!(timers.first_time(), expected.first().map(|(time, _)| *time));
            for time in 0..10 {
                let timer = (Timestamp(time), 1);
                assert_eq!(timers.has(timer.0, &timer.1), expected.contains(&timer));
            }
            let mut bytes = Vec::new();
            encode_into(&timers, &mut bytes).unwrap();
            assert_eq!(decode::<Timers<u8>>(&bytes).unwrap(), timers);
            assert_eq!(decode::<BTreeSet<(Timestamp, u8)>>(&bytes).unwrap(), expected);
            let is_small = matches!(timers, Timers::One(..));
            assert_eq!(is_small, expected.len() == 1, "after {step}");
        }
    }
}
