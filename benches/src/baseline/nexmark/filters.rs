//! Queries that choose among events: q1, q2 and q3.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::local_sellers::{CATEGORY, LocalSeller, STATES};
use crate::nexmark::one_by_one::euros;
use crate::nexmark::{Bid, Event, Market};

pub(super) fn q1(market: Market, sink: impl FnMut(Bid)) {
    let in_euros = |bid: Bid| Bid {
        price: euros(bid.price),
        ..bid
    };
    market.bids().map(in_euros).for_each(sink);
}

pub(super) fn q2(market: Market, sink: impl FnMut((u64, u64))) {
    market
        .bids()
        .filter(|bid| bid.auction % 123 == 0)
        .map(|bid| (bid.auction, bid.price))
        .for_each(sink);
}

/// First all sellers, then all auctions.
pub(super) fn q3(market: Market, mut sink: impl FnMut(LocalSeller)) {
    let (mut persons, mut auctions) = (PlainMap::default(), Vec::new());
    for event in market.all() {
        match event {
            Event::Person(person) if STATES.contains(&&*person.state) => {
                persons.insert(person.id, person);
            }
            Event::Auction(auction) if auction.category == CATEGORY => {
                auctions.push((auction.seller, auction.id));
            }
            Event::Person(_) | Event::Auction(_) | Event::Bid(_) => {}
        }
    }
    for (seller, auction) in auctions {
        if let Some(person) = persons.get(&seller) {
            sink(LocalSeller::new(person, auction));
        }
    }
}
