//! Chance, out of a seed.

use crate::fault::splitmix64;
use snapline_core::stable_hash_bytes;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// A sequence of draws that depends on its seed and its purpose only.
///
/// Every purpose has dice of its own, so that a draw more or less in one place does not change all others.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<u64>);

impl Dice {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let start = splitmix64(seed) ^ stable_hash_bytes(purpose.as_bytes());
        Self(Mutex::new(splitmix64(start)))
    }

    /// Any number, each as likely as the others.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = splitmix64(*state);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        drawn
    }

    /// A number below `end`; 0 when that is 0.
    pub(crate) fn below(&self, end: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn between(&self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below((range.end() - range.start()).saturating_add(1))
    }

    /// True once in `n` times; never when that is 0.
    pub(crate) fn one_in(&self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// A number from 1 to about `most`, where each order of magnitude is as likely as the others.
    pub(crate) fn scale(&self, most: u64) -> u64 {
        let bits = self.below(u64::from(u64::BITS - most.leading_zeros()) + 1);
        self.between(1..=(1 << bits).min(most.max(1)))
    }

    pub(crate) fn one_of<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_purpose_only_and_stay_in_range() {
        let draws = |seed, purpose| {
            let dice = Dice::new(seed, purpose);
            (0..50).map(|_| dice.between(3..=9)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, "a"), draws(1, "a"));
        assert_ne!(draws(1, "a"), draws(2, "a"));
        assert_ne!(draws(1, "a"), draws(1, "b"));
        assert!(draws(1, "a").iter().all(|drawn| (3..=9).contains(drawn)));
        let dice = Dice::new(7, "scale");
        let scales: Vec<u64> = (0..200).map(|_| dice.scale(1000)).collect();
        assert!(scales.iter().all(|scale| (1..=1000).contains(scale)));
        assert!(scales.iter().any(|scale| *scale < 10) && scales.iter().any(|scale| *scale > 200));
    }
}
