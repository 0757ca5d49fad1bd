//! Queries that look at one event at a time: q0, q1 and q2. The order of events is that of their results.

use super::event::{Bid, Event};
use super::streams::bids;
use snapline::prelude::*;

/// q0: every event as it is, which shows what the way costs.
pub(super) fn q0(events: &DataStream<Event>) -> DataStream<Event> {
    events.clone()
}

/// q1: every bid with its price in euros.
pub(super) fn q1(events: &DataStream<Event>) -> DataStream<Bid> {
    bids(events).map(|bid| Bid {
        price: euros(bid.price),
        ..bid
    })
}

/// What dollars are in euros, at the rate that Nexmark has.
pub(crate) fn euros(dollars: u64) -> u64 {
    dollars * 908 / 1_000
}

/// q2: the bids for some auctions, as auction and price.
pub(super) fn q2(events: &DataStream<Event>) -> DataStream<(u64, u64)> {
    bids(events)
        .filter(|bid| bid.auction.is_multiple_of(123))
        .map(|bid| (bid.auction, bid.price))
}
