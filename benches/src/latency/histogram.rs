//! How often which duration came, to a sixty-fourth of its length.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many buckets there are between a power of two and the next.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;

/// Counts of durations, in buckets that grow with them.
pub(super) struct Histogram {
    counts: Box<[AtomicU64]>,
    longest: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: (0..=bucket_of(u64::MAX)).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
        }
    }

    /// One more of so many nanoseconds.
    #[inline]
    pub(super) fn add(&self, nanos: u64) {
        self.counts[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// What this share of all durations does not exceed, from 0 to 1; zero when there are none. The whole is exact.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let total: u64 = counts.clone().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let longest = self.longest.load(Ordering::Relaxed);
        let mut passed = 0;
        for (bucket, count) in counts.enumerate() {
            passed += count;
            if passed >= wanted && count > 0 {
                return Duration::from_nanos(end_of(bucket).min(longest));
            }
        }
        Duration::ZERO
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let exponent = nanos.max(STEPS).ilog2() - STEP_BITS;
    (u64::from(exponent) * STEPS + (nanos >> exponent)) as usize
}

/// The largest number in a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let exponent = (bucket / STEPS).saturating_sub(1);
    let step = u128::from(bucket - exponent * STEPS);
    u64::try_from(((step + 1) << exponent) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_a_bucket_that_ends_a_sixty_fourth_above_it_at_most() {
        let powers = (0..64).map(|exponent| 1_u64 << exponent);
        for number in powers.flat_map(|power| [power - 1, power, power + power / 3]) {
            let end = end_of(bucket_of(number));
            assert!(end >= number && end - number <= number / STEPS, "{number}: {end}");
            assert_eq!(bucket_of(end), bucket_of(number));
        }
        assert_eq!(end_of(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn a_quantile_is_what_so_many_do_not_exceed() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=100).for_each(|nanos| histogram.add(nanos));
        histogram.add(1_000_003);
        let nanos = [0.0, 0.5, 0.99, 1.0].map(|share| histogram.quantile(share).as_nanos());
        assert_eq!(nanos, [1, 51, 100, 1_000_003]);
    }
}
