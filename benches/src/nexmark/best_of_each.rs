//! What is left of all bids of a key when there are no more: the last one (q18), and the ten highest (q19).

use super::event::{Bid, Event};
use super::streams::bids;
use super::winning_bids::rank;
use snapline::prelude::*;

/// How many of the highest bids are kept.
pub(crate) const TOP: usize = 10;

/// q18: the last bid of each bidder for each auction, when all bids have come. Of those in the same millisecond it is the
/// highest.
pub(super) fn q18(events: &DataStream<Event>) -> DataStream<Bid> {
    let by_both = bids(events).key_by(|bid| (bid.bidder, bid.auction));
    by_both.emit(Emit::Final).reduce(|last, bid| {
        if lastness(&bid) > lastness(last) {
            *last = bid;
        }
    })
}

/// By which the last bid is chosen.
pub(crate) fn lastness(bid: &Bid) -> impl Ord + use<> {
    (bid.date_time, bid.price, bid.channel)
}

/// q19: the ten highest bids for each auction with their ranks, from 0 on, when all bids have come.
pub(super) fn q19(events: &DataStream<Event>) -> DataStream<(u64, Bid)> {
    let by_auction = bids(events).key_by(|bid| bid.auction);
    let highest = by_auction.emit(Emit::Final).top_n(TOP, rank);
    highest.flat_map(|(_, bids), out| {
        (0..).zip(bids).for_each(|(place, bid)| out.collect((place, bid)));
    })
}
