//! How many bids there are.

use super::event::Bid;
use snapline::Result;
use snapline::prelude::*;

/// Counts bids.
#[derive(Clone)]
pub(super) struct Count;

impl AggregateFunction for Count {
    type Input = Bid;
    type Accumulator = u64;
    type Output = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _: Bid) {
        *count += 1;
    }

    fn result(&self, count: &u64) -> u64 {
        *count
    }

    fn merge(&self, count: &mut u64, other: u64) -> Result<()> {
        *count += other;
        Ok(())
    }
}
