//! How keys are dealt out to subtasks, and dealt out again when the parallelism changes.

use crate::error::{Error, Result};
use crate::id::SubtaskIndex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many key groups a job has: the most subtasks that a keyed operator can ever have.
///
/// It is stored with every checkpoint and cannot be changed by a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxParallelism(u32);

/// One of the [`MaxParallelism`] shares into which all keys are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u32);

/// A run of neighbouring key groups, `start..end` with the end left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Borders")]
pub struct KeyGroupRange {
    start: u32,
    end: u32,
}

/// A range as it was stored, not checked yet.
#[derive(Deserialize)]
struct Borders {
    start: u32,
    end: u32,
}

impl MaxParallelism {
    /// The smallest number of key groups that [`MaxParallelism::for_parallelism`] chooses.
    pub const DEFAULT: Self = Self(128);
    /// The largest number of key groups.
    pub const LIMIT: u32 = 32_768;

    /// This many key groups.
    ///
    /// # Errors
    /// `Invalid` unless `groups` is between 1 and [`MaxParallelism::LIMIT`].
    pub fn new(groups: u32) -> Result<Self> {
        if (1..=Self::LIMIT).contains(&groups) {
            return Ok(Self(groups));
        }
        Err(Error::invalid("the maximum parallelism must be between 1 and 32768").with("given", groups))
    }

    /// What a job of this parallelism gets when it does not choose: the next power of two above one
    /// and a half times the parallelism, between 128 and 32768.
    pub fn for_parallelism(parallelism: u32) -> Self {
        let wanted = parallelism
            .saturating_add(parallelism / 2)
            .min(Self::LIMIT)
            .next_power_of_two();
        Self(wanted.clamp(Self::DEFAULT.0, Self::LIMIT))
    }

    /// The number of key groups.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The key group of a key with this stable hash (see [`crate::StableHasher`]).
    ///
    /// It grows with the low 32 bits of the hash, so a table ordered by them is ordered by key
    /// group as well.
    #[inline]
    pub fn key_group(self, hash: u64) -> KeyGroup {
        let low = hash & 0xFFFF_FFFF;
        KeyGroup(((low * u64::from(self.0)) >> 32) as u32)
    }

    /// The subtask that owns a key group at this parallelism: the inverse of
    /// [`MaxParallelism::range_of`].
    #[inline]
    pub fn subtask_of(self, group: KeyGroup, parallelism: u32) -> SubtaskIndex {
        SubtaskIndex(((u64::from(group.0) * u64::from(parallelism)) / u64::from(self.0)) as u32)
    }

    /// The key groups that a subtask owns at this parallelism:
    /// `ceil(i * G / P) .. ceil((i + 1) * G / P)`.
    pub fn range_of(self, subtask: SubtaskIndex, parallelism: u32) -> KeyGroupRange {
        let border = |index: u64| (index * u64::from(self.0)).div_ceil(u64::from(parallelism)) as u32;
        KeyGroupRange {
            start: border(u64::from(subtask.0)),
            end: border(u64::from(subtask.0) + 1),
        }
    }

    /// All key groups.
    pub fn full_range(self) -> KeyGroupRange {
        KeyGroupRange {
            start: 0,
            end: self.0,
        }
    }
}

impl TryFrom<u32> for MaxParallelism {
    type Error = Error;

    fn try_from(groups: u32) -> Result<Self> {
        Self::new(groups)
    }
}

impl From<MaxParallelism> for u32 {
    fn from(max: MaxParallelism) -> Self {
        max.0
    }
}

impl KeyGroupRange {
    /// The key groups `start..end`; empty when `end <= start`.
    pub fn new(start: u32, end: u32) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// The first key group.
    pub fn start(self) -> u32 {
        self.start
    }

    /// One past the last key group.
    pub fn end(self) -> u32 {
        self.end
    }

    /// How many key groups there are.
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether this group is one of them.
    #[inline]
    pub fn contains(self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&group.0)
    }

    /// The groups that are in both ranges.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl TryFrom<Borders> for KeyGroupRange {
    type Error = Error;

    fn try_from(Borders { start, end }: Borders) -> Result<Self> {
        if start <= end {
            return Ok(Self { start, end });
        }
        Err(Error::corrupted("a range of key groups ends before it starts")
            .with("start", start)
            .with("end", end))
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{decode, encode_into};
    use crate::error::ErrorKind;

    #[test]
    fn ranges_are_contiguous_and_known() {
        let cases: [(u32, u32, &[(u32, u32)]); 5] = [
            (128, 3, &[(0, 43), (43, 86), (86, 128)]),
            (128, 5, &[(0, 26), (26, 52), (52, 77), (77, 103), (103, 128)]),
            (10, 3, &[(0, 4), (4, 7), (7, 10)]),
            (10, 4, &[(0, 3), (3, 5), (5, 8), (8, 10)]),
            (13, 2, &[(0, 7), (7, 13)]),
        ];
        for (groups, parallelism, expected) in cases {
            let max = MaxParallelism::new(groups).unwrap();
            let ranges: Vec<_> = (0..parallelism)
                .map(|i| max.range_of(SubtaskIndex(i), parallelism))
                .map(|range| (range.start(), range.end()))
                .collect();
            assert_eq!(ranges, expected);
        }
    }

    #[test]
    fn every_group_belongs_to_the_subtask_whose_range_has_it() {
        for groups in [1, 7, 128, 1000] {
            let max = MaxParallelism::new(groups).unwrap();
            for parallelism in 1..=groups.min(40) {
                for group in (0..groups).map(KeyGroup) {
                    let owner = max.subtask_of(group, parallelism);
                    assert!(
                        max.range_of(owner, parallelism).contains(group),
                        "{groups} {parallelism} {group:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_default_grows_with_the_parallelism() {
        let cases = [
            (1, 128),
            (64, 128),
            (85, 128),
            (86, 256),
            (170, 256),
            (171, 256),
            (200, 512),
            (1000, 2048),
            (20_000, 32_768),
        ];
        for (parallelism, groups) in cases {
            assert_eq!(
                MaxParallelism::for_parallelism(parallelism).get(),
                groups,
                "{parallelism}"
            );
        }
    }

    #[test]
    fn intersections_of_ranges() {
        let range = KeyGroupRange::new;
        let cases = [
            ((0, 11), (3, 8), (3, 8)),
            ((0, 6), (6, 12), (6, 6)),
            ((0, 11), (5, 21), (5, 11)),
        ];
        for (a, b, both) in cases {
            let both_ways = range(a.0, a.1).intersection(range(b.0, b.1));
            assert_eq!(both_ways, range(b.0, b.1).intersection(range(a.0, a.1)));
            assert_eq!(both_ways, range(both.0, both.1));
        }
        assert!(range(0, 6).intersection(range(6, 12)).is_empty());
    }

    #[test]
    fn a_stored_range_comes_back_unless_it_ends_before_it_starts() {
        let stored = |start: u32, end: u32| {
            let mut bytes = Vec::new();
            encode_into(&(start, end), &mut bytes).unwrap();
            decode::<KeyGroupRange>(&bytes)
        };
        for (start, end) in [(0, 0), (3, 128)] {
            assert_eq!(stored(start, end).unwrap(), KeyGroupRange::new(start, end));
        }
        assert_eq!(stored(9, 3).unwrap_err().kind(), ErrorKind::Corrupted);
    }

    #[test]
    fn key_groups_follow_the_low_half_of_the_hash() {
        let max = MaxParallelism::DEFAULT;
        assert_eq!(max.key_group(0), KeyGroup(0));
        assert_eq!(max.key_group(0xFFFF_FFFF), KeyGroup(127));
        assert_eq!(max.key_group(0xFFFF_FFFF_0000_0000), KeyGroup(0));
        assert!(MaxParallelism::new(0).is_err() && MaxParallelism::new(32_769).is_err());
    }
}
