//! What the bids of a day come to: in all (q15), by channel (q16) and by auction (q17).
//!
//! How many *different* bidders there were is counted without keeping them all in one place: what each bidder did is
//! summed up in a window of a day by bidder, and when it has ended each of them adds one.

use super::event::{Bid, Event};
use super::streams::bids;
use serde::{Deserialize, Serialize};
use snapline::prelude::*;
use snapline_core::Key;
use std::hash::Hash;
use std::time::Duration;

/// How long a day is, in seconds.
pub(crate) const DAY_SECONDS: u64 = 24 * 60 * 60;

/// How many there are with any price, with a low one, a middle one and a high one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ByPrice {
    pub(crate) any: u64,
    pub(crate) low: u64,
    pub(crate) middle: u64,
    pub(crate) high: u64,
}

impl ByPrice {
    /// Counts one.
    pub(crate) fn count(&mut self, price: u64) {
        self.any += 1;
        match price {
            0..10_000 => self.low += 1,
            10_000..1_000_000 => self.middle += 1,
            _ => self.high += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.any += other.any;
        self.low += other.low;
        self.middle += other.middle;
        self.high += other.high;
    }

    /// One for each that is there at all.
    fn distinct(self) -> Self {
        Self {
            any: self.any.min(1),
            low: self.low.min(1),
            middle: self.middle.min(1),
            high: self.high.min(1),
        }
    }
}

/// The bids of a day, and how many bidders and auctions they were of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Statistics {
    pub(crate) bids: ByPrice,
    pub(crate) bidders: ByPrice,
    pub(crate) auctions: ByPrice,
    /// The minute of the last bid, counted from the beginning of time.
    pub(crate) minute: i64,
}

impl Statistics {
    fn add(&mut self, other: Self) {
        self.bids.add(other.bids);
        self.bidders.add(other.bidders);
        self.auctions.add(other.auctions);
        self.minute = self.minute.max(other.minute);
    }
}

/// The statistics of a group of bids on the day that began at a time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct OfDay<G> {
    pub(crate) group: G,
    pub(crate) day: i64,
    pub(crate) statistics: Statistics,
}

/// q15: the statistics of each day, when it has ended for all subtasks.
pub(super) fn q15(events: &DataStream<Event>) -> DataStream<OfDay<()>> {
    daily(&bids(events), |_| ())
}

/// q16: the statistics of each channel on each day, when it has ended for all subtasks.
pub(super) fn q16(events: &DataStream<Event>) -> DataStream<OfDay<u32>> {
    daily(&bids(events), |bid| bid.channel)
}

fn daily<G: Key + Hash + Sync>(bids: &DataStream<Bid>, group: fn(&Bid) -> G) -> DataStream<OfDay<G>> {
    let by_bidder = bids
        .key_by(move |bid| (group(bid), bid.bidder))
        .window(days())
        .aggregate_with(Summed, |(group, _), _context, (bids, minute), out| {
            let statistics = Statistics {
                bids,
                bidders: bids.distinct(),
                auctions: ByPrice::default(),
                minute,
            };
            out.collect((group.clone(), statistics));
            Ok(())
        });
    let by_auction = bids
        .key_by(move |bid| (group(bid), bid.auction))
        .window(days())
        .aggregate_with(Summed, |(group, _), _context, (bids, _), out| {
            let statistics = Statistics {
                auctions: bids.distinct(),
                ..Statistics::default()
            };
            out.collect((group.clone(), statistics));
            Ok(())
        });
    by_bidder
        .union(&by_auction)
        .key_by(|(group, _)| group.clone())
        .window(days())
        .reduce_with(
            |sum, (_, statistics)| sum.1.add(statistics),
            |_group, context, (group, statistics), out| {
                let day = context.window().start().0;
                out.collect(OfDay {
                    group,
                    day,
                    statistics,
                });
                Ok(())
            },
        )
}

fn days() -> TumblingEventTimeWindows {
    TumblingEventTimeWindows::of(Duration::from_secs(DAY_SECONDS))
}

/// Counts bids by price, and notes the last minute.
#[derive(Clone)]
struct Summed;

impl AggregateFunction for Summed {
    type Input = Bid;
    type Accumulator = (ByPrice, i64);
    type Output = (ByPrice, i64);

    fn create_accumulator(&self) -> (ByPrice, i64) {
        Default::default()
    }

    fn add(&self, (bids, minute): &mut (ByPrice, i64), bid: Bid) {
        bids.count(bid.price);
        *minute = (*minute).max(bid.date_time / 60_000);
    }

    fn result(&self, summed: &(ByPrice, i64)) -> (ByPrice, i64) {
        *summed
    }
}

/// The bids for an auction on the day that began at a time, in milliseconds, and their prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct AuctionDay {
    pub(crate) auction: u64,
    pub(crate) day: i64,
    pub(crate) bids: ByPrice,
    pub(crate) lowest: u64,
    pub(crate) highest: u64,
    pub(crate) sum: u64,
    /// Rounded down.
    pub(crate) average: u64,
}

/// q17: the prices for each auction on each day, when it has ended for all subtasks.
pub(super) fn q17(events: &DataStream<Event>) -> DataStream<AuctionDay> {
    bids(events)
        .key_by(|bid| bid.auction)
        .window(days())
        .aggregate_with(Prices, |_auction, context, prices, out| {
            let day = context.window().start().0;
            out.collect(AuctionDay { day, ..prices });
            Ok(())
        })
}

/// Gathers prices.
#[derive(Clone)]
struct Prices;

impl AggregateFunction for Prices {
    type Input = Bid;
    type Accumulator = AuctionDay;
    type Output = AuctionDay;

    fn create_accumulator(&self) -> AuctionDay {
        AuctionDay {
            auction: 0,
            day: 0,
            bids: ByPrice::default(),
            lowest: u64::MAX,
            highest: 0,
            sum: 0,
            average: 0,
        }
    }

    fn add(&self, prices: &mut AuctionDay, bid: Bid) {
        prices.auction = bid.auction;
        prices.bids.count(bid.price);
        prices.lowest = prices.lowest.min(bid.price);
        prices.highest = prices.highest.max(bid.price);
        prices.sum += bid.price;
    }

    fn result(&self, prices: &AuctionDay) -> AuctionDay {
        AuctionDay {
            average: prices.sum / prices.bids.any.max(1),
            ..*prices
        }
    }
}
