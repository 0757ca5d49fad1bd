//! What is left of all bids of a key: q18 and q19.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::best_of_each::{TOP, lastness};
use crate::nexmark::winning_bids::rank;
use crate::nexmark::{Bid, Market};
use std::cmp::Reverse;

/// One map with both numbers in a key: they are far below 2^32.
pub(super) fn q18(market: Market, sink: impl FnMut(Bid)) {
    let mut last: PlainMap<Bid> = PlainMap::default();
    for bid in market.bids() {
        let last = last.entry(bid.bidder << 32 | bid.auction).or_insert(bid);
        *last = std::cmp::max_by_key(*last, bid, lastness);
    }
    last.into_values().for_each(sink);
}

/// Gathers all bids first, then sorts them.
pub(super) fn q19(market: Market, mut sink: impl FnMut((u64, Bid))) {
    let mut auctions: PlainMap<Vec<Bid>> = PlainMap::default();
    for bid in market.bids() {
        auctions.entry(bid.auction).or_default().push(bid);
    }
    for mut bids in auctions.into_values() {
        bids.sort_unstable_by_key(|bid| Reverse(rank(bid)));
        (0..).zip(bids).take(TOP).for_each(&mut sink);
    }
}
