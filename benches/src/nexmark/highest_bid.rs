//! q7: the highest bid of each while.

use super::event::{Bid, Event};
use super::streams::bids;
use snapline::prelude::*;
use std::time::Duration;

/// How long a while is, in seconds.
pub(crate) const WINDOW_SECONDS: u64 = 10;

/// In how many parts bids are compared first, so that all subtasks have something to do.
const PARTS: u64 = 64;

/// q7: the highest bid of each ten seconds; all of them where several are as high.
///
/// The highest of each part goes on when the window has ended, and the highest of all when all parts have.
pub(super) fn q7(events: &DataStream<Event>) -> DataStream<Bid> {
    let windows = TumblingEventTimeWindows::of(Duration::from_secs(WINDOW_SECONDS));
    let of_parts = bids(events)
        .key_by(|bid| bid.auction % PARTS)
        .window(windows)
        .aggregate_with(Highest, |_part, _context, highest, out| {
            highest.into_iter().for_each(|bid| out.collect(bid));
            Ok(())
        });
    of_parts
        .window_all(windows)
        .aggregate_with(Highest, |(), _context, highest, out| {
            highest.into_iter().for_each(|bid| out.collect(bid));
            Ok(())
        })
}

/// The bids with the highest price.
#[derive(Clone)]
struct Highest;

impl AggregateFunction for Highest {
    type Input = Bid;
    type Accumulator = Vec<Bid>;
    type Output = Vec<Bid>;

    fn create_accumulator(&self) -> Vec<Bid> {
        Vec::new()
    }

    fn add(&self, highest: &mut Vec<Bid>, bid: Bid) {
        let price = highest.first().map_or(0, |bid| bid.price);
        if bid.price > price {
            highest.clear();
        }
        if bid.price >= price {
            highest.push(bid);
        }
    }

    fn result(&self, highest: &Vec<Bid>) -> Vec<Bid> {
        highest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_of_the_same_price_are_all_the_highest() {
        let bid = |bidder, price| Bid {
            auction: 0,
            bidder,
            price,
            channel: 0,
            date_time: 0,
        };
        let mut highest = Highest.create_accumulator();
        for (bidder, price) in [(1, 2), (2, 3), (3, 1), (4, 3)] {
            Highest.add(&mut highest, bid(bidder, price));
        }
        assert_eq!(Highest.result(&highest), [bid(2, 3), bid(4, 3)]);
    }
}
