//! Which key a record has.

use crate::random::mix;

/// Keys below a number, drawn by the index of the record.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Keys {
    /// Each as likely as any other.
    Uniform {
        /// How many there are, at least 1.
        count: u64,
    },
    /// By Zipf's law: the n-th most frequent comes n times less often than the first. Ranks are scattered over the
    /// keys, where some meet, so that about two thirds of the keys are ever drawn.
    Zipf {
        /// How many there are, at least 1.
        count: u64,
    },
}

impl Keys {
    /// How many there are.
    pub fn count(self) -> u64 {
        match self {
            Self::Uniform { count } | Self::Zipf { count } => count,
        }
    }

    /// The key of this record.
    #[inline]
    pub fn key(self, index: u64) -> u64 {
        match self {
            Self::Uniform { count } => mix(index) % count,
            Self::Zipf { count } => zipf(index, count),
        }
    }
}

/// A rank r with a probability as 1 / r has a logarithm that is as good as uniform.
fn zipf(index: u64, count: u64) -> u64 {
    let fraction = (mix(index) >> 11) as f64 / (1_u64 << 53) as f64;
    let rank = (count as f64).powf(fraction) as u64;
    mix(rank) % count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_key_comes_as_often_as_the_law_says() {
        let (keys, draws) = (Keys::Zipf { count: 1_000_000 }, 100_000);
        let first = (0..draws).filter(|index| keys.key(*index) == mix(1) % keys.count());
        // ln 2 / ln 1,000,000
        let share = first.count() as f64 / draws as f64;
        assert!((0.048..0.053).contains(&share), "{share}");
        assert!((0..1000).all(|index| keys.key(index) < keys.count()));
    }
}
