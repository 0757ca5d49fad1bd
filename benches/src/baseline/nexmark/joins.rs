//! Queries that bring bids and auctions together: q4, q9 and q20.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::local_sellers::CATEGORY;
use crate::nexmark::winning_bids::{WinningBid, rank};
use crate::nexmark::{Auction, Bid, Event, Market};
use std::collections::BTreeMap;

/// First all auctions, then all bids.
pub(super) fn q9(market: Market, mut sink: impl FnMut(WinningBid)) {
    let (auctions, bids) = auctions_and_bids(market);
    let mut best: PlainMap<Bid> = PlainMap::default();
    for bid in bids {
        let is_open =
            |auction: &Auction| auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
        if auctions.get(&bid.auction).is_some_and(is_open) {
            let best = best.entry(bid.auction).or_insert(bid);
            *best = std::cmp::max_by_key(*best, bid, rank);
        }
    }
    for (id, bid) in best {
        if let Some(auction) = auctions.get(&id) {
            let auction = auction.clone();
            sink(WinningBid { auction, bid });
        }
    }
}

pub(super) fn q4(market: Market, sink: impl FnMut((u64, u64))) {
    let mut prices: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    q9(market, |won| {
        let of_category = prices.entry(won.auction.category).or_default();
        of_category.push(won.bid.price);
    });
    let average = |prices: Vec<u64>| prices.iter().sum::<u64>() / prices.len() as u64;
    let averages = prices
        .into_iter()
        .map(|(category, prices)| (category, average(prices)));
    averages.for_each(sink);
}

/// First all auctions, then all bids.
pub(super) fn q20(market: Market, mut sink: impl FnMut((Bid, Auction))) {
    let (auctions, bids) = auctions_and_bids(market);
    for bid in bids {
        let auction = auctions.get(&bid.auction);
        if let Some(auction) = auction.filter(|auction| auction.category == CATEGORY) {
            sink((bid, auction.clone()));
        }
    }
}

fn auctions_and_bids(market: Market) -> (PlainMap<Auction>, Vec<Bid>) {
    let (mut auctions, mut bids) = (PlainMap::default(), Vec::new());
    for event in market.all() {
        match event {
            Event::Person(_) => {}
            Event::Auction(auction) => drop(auctions.insert(auction.id, *auction)),
            Event::Bid(bid) => bids.push(bid),
        }
    }
    (auctions, bids)
}
