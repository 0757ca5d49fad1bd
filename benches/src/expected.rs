//! What a workload must arrive at, computed in another way.

use crate::keys::Keys;
use std::collections::HashMap;

/// What a counting sink has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many updates there were.
    pub updates: u64,
    /// The sum of all running counts, modulo 2^64.
    pub sum: u64,
}

impl Totals {
    /// One more update.
    #[inline]
    pub fn add(&mut self, running: u64) {
        self.updates += 1;
        self.sum = self.sum.wrapping_add(running);
    }

    /// What both have seen.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            updates: self.updates + other.updates,
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// A key that is counted `count` times emits 1, 2, ... `count`.
    fn of_key(count: u64) -> Self {
        Self {
            updates: count,
            sum: u64::try_from(u128::from(count) * u128::from(count + 1) / 2).unwrap_or(u64::MAX),
        }
    }
}

/// The totals of counting the words of `text`.
pub fn expect_word_count(text: &str) -> Totals {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for line in text.lines() {
        let line = line.to_lowercase();
        for word in line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.to_owned(), 1)),
            }
        }
    }
    counts
        .into_values()
        .map(Totals::of_key)
        .fold(Totals::default(), Totals::and)
}

/// The totals of `records` records of value 1.
pub fn expect_keyed_sum(records: u64, keys: Keys) -> Totals {
    let mut counts = vec![0_u32; usize::try_from(keys.count()).unwrap_or(usize::MAX)];
    for index in 0..records {
        counts[keys.key(index) as usize] += 1;
    }
    let counts = counts.into_iter().map(u64::from);
    counts.map(Totals::of_key).fold(Totals::default(), Totals::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_counts_add_up() {
        let totals = expect_word_count("The the, cat!\nTHE cat");
        assert_eq!(
            totals,
            Totals {
                updates: 5,
                sum: 1 + 2 + 3 + 1 + 2
            }
        );
        let one = Keys::Uniform { count: 1 };
        assert_eq!(expect_keyed_sum(5, one), Totals { updates: 5, sum: 15 });
    }
}
