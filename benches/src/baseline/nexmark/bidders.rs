//! What single persons do: q8, q11 and q12.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::activity::{Activity, GAP_SECONDS};
use crate::nexmark::new_sellers::{NewSeller, WINDOW_SECONDS};
use crate::nexmark::{Event, Market, Person};
use std::collections::HashSet;

/// Looks for each person among those who have sold in their window.
pub(super) fn q8(market: Market, mut sink: impl FnMut(NewSeller)) {
    let size = WINDOW_SECONDS as i64 * 1_000;
    let mut persons: Vec<Box<Person>> = Vec::new();
    let mut sellers: HashSet<(u64, i64)> = HashSet::new();
    for event in market.all() {
        match event {
            Event::Person(person) => persons.push(person),
            Event::Auction(auction) => drop(sellers.insert((auction.seller, auction.date_time / size))),
            Event::Bid(_) => {}
        }
    }
    for person in persons {
        let window = person.date_time / size;
        if sellers.contains(&(person.id, window)) {
            sink(NewSeller {
                id: person.id,
                name: person.name,
                from: window * size,
            });
        }
    }
}

/// Cuts the times of each bidder's bids where there is a gap.
pub(super) fn q11(market: Market, mut sink: impl FnMut(Activity)) {
    let gap = GAP_SECONDS as i64 * 1_000;
    let mut times: PlainMap<Vec<i64>> = PlainMap::default();
    for bid in market.bids() {
        times.entry(bid.bidder).or_default().push(bid.date_time);
    }
    for (bidder, times) in times {
        for session in times.chunk_by(|one, next| next - one <= gap) {
            if let [from, ..] = session
                && let [.., last] = session
            {
                sink(Activity {
                    bidder,
                    bids: session.len() as u64,
                    from: *from,
                    until: last + gap,
                });
            }
        }
    }
}

/// How many bids there are: what all windows of the clock come to.
pub(super) fn q12(market: Market) -> u64 {
    market.bids().count() as u64
}
