//! Queries over windows of bids: q5 and q7. Bids come in the order of their times.

use crate::baseline::keyed_sum::PlainMap;
use crate::nexmark::highest_bid::WINDOW_SECONDS;
use crate::nexmark::hot_items::{HotItem, SIZE_SECONDS, SLIDE_SECONDS};
use crate::nexmark::{Bid, Market};
use std::collections::BTreeMap;

/// Counts by slice first, then adds the slices of each window up.
pub(super) fn q5(market: Market, mut sink: impl FnMut(HotItem)) {
    let slide = SLIDE_SECONDS as i64 * 1_000;
    let in_window = (SIZE_SECONDS / SLIDE_SECONDS) as usize;
    let mut slices: Vec<PlainMap<u64>> = Vec::new();
    for bid in market.bids() {
        let slice = (bid.date_time / slide) as usize;
        if slice >= slices.len() {
            slices.resize_with(slice + 1, PlainMap::default);
        }
        *slices[slice].entry(bid.auction).or_insert(0) += 1;
    }
    for end in 1..slices.len() + in_window {
        let mut counts: PlainMap<u64> = PlainMap::default();
        for slice in &slices[end.saturating_sub(in_window)..end.min(slices.len())] {
            for (auction, bids) in slice {
                *counts.entry(*auction).or_insert(0) += bids;
            }
        }
        let most = counts.values().copied().max();
        for (auction, bids) in counts.into_iter().filter(|(_, bids)| Some(*bids) == most) {
            let until = end as i64 * slide;
            sink(HotItem { until, auction, bids });
        }
    }
}

/// Keeps the highest bids of each window.
pub(super) fn q7(market: Market, mut sink: impl FnMut(Bid)) {
    let mut windows: BTreeMap<i64, (u64, Vec<Bid>)> = BTreeMap::new();
    for bid in market.bids() {
        let window = bid.date_time / (WINDOW_SECONDS as i64 * 1_000);
        let (price, bids) = windows.entry(window).or_default();
        if bid.price > *price {
            (*price, *bids) = (bid.price, vec![bid]);
        } else if bid.price == *price {
            bids.push(bid);
        }
    }
    let highest = windows.into_values().flat_map(|(_, bids)| bids);
    highest.for_each(&mut sink);
}
