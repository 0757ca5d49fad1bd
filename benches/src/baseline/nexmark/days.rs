//! Queries over the bids of a day: q15, q16 and q17.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::statistics::{AuctionDay, ByPrice, DAY_SECONDS, OfDay, Statistics};
use crate::nexmark::{Bid, Market};
use std::collections::BTreeMap;

const DAY: i64 = DAY_SECONDS as i64 * 1_000;

pub(super) fn q15(market: Market, mut sink: impl FnMut(OfDay<()>)) {
    statistics(
        market,
        |_| 0,
        |_, day, statistics| {
            sink(OfDay {
                group: (),
                day,
                statistics,
            });
        },
    );
}

pub(super) fn q16(market: Market, mut sink: impl FnMut(OfDay<u32>)) {
    let group = |bid: &Bid| u64::from(bid.channel);
    statistics(market, group, |channel, day, statistics| {
        sink(OfDay {
            group: channel as u32,
            day,
            statistics,
        });
    });
}

/// A day of a group, and who was seen on it, with a bit for each price class.
#[derive(Default)]
struct Day {
    statistics: Statistics,
    bidders: PlainMap<u8>,
    auctions: PlainMap<u8>,
}

fn statistics(market: Market, group: impl Fn(&Bid) -> u64, mut sink: impl FnMut(u64, i64, Statistics)) {
    let mut groups: PlainMap<BTreeMap<i64, Day>> = PlainMap::default();
    for bid in market.bids() {
        let days = groups.entry(group(&bid)).or_default();
        let day = days.entry(bid.date_time / DAY).or_default();
        day.statistics.bids.count(bid.price);
        day.statistics.minute = bid.date_time / 60_000;
        let bidder = day.bidders.entry(bid.bidder).or_default();
        count_new(&mut day.statistics.bidders, bidder, bid.price);
        let auction = day.auctions.entry(bid.auction).or_default();
        count_new(&mut day.statistics.auctions, auction, bid.price);
    }
    for (group, days) in groups {
        for (day, of_day) in days {
            sink(group, day * DAY, of_day.statistics);
        }
    }
}

/// Counts somebody who was not seen before, at all and with such a price.
fn count_new(counts: &mut ByPrice, seen: &mut u8, price: u64) {
    counts.any += u64::from(*seen == 0);
    let (class, bit) = if price < 10_000 {
        (&mut counts.low, 1)
    } else if price < 1_000_000 {
        (&mut counts.middle, 2)
    } else {
        (&mut counts.high, 4)
    };
    *class += u64::from(*seen & bit == 0);
    *seen |= bit;
}

/// Gathers all prices first.
pub(super) fn q17(market: Market, mut sink: impl FnMut(AuctionDay)) {
    let mut auctions: PlainMap<BTreeMap<i64, Vec<u64>>> = PlainMap::default();
    for bid in market.bids() {
        let days = auctions.entry(bid.auction).or_default();
        days.entry(bid.date_time / DAY).or_default().push(bid.price);
    }
    for (auction, days) in auctions {
        for (day, prices) in days {
            let mut bids = ByPrice::default();
            prices.iter().for_each(|price| bids.count(*price));
            let sum = prices.iter().sum();
            sink(AuctionDay {
                auction,
                day: day * DAY,
                bids,
                lowest: prices.iter().copied().min().unwrap_or_default(),
                highest: prices.iter().copied().max().unwrap_or_default(),
                sum,
                average: sum / prices.len() as u64,
            });
        }
    }
}
