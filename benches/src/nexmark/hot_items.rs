//! q5: which auctions had the most bids of late.

use super::count::Count;
use super::event::Event;
use super::streams::bids;
use serde::{Deserialize, Serialize};
use snapline::prelude::*;
use std::time::Duration;

/// Bids are counted over so many seconds.
pub(crate) const SIZE_SECONDS: u64 = 10;

/// Every so many seconds.
pub(crate) const SLIDE_SECONDS: u64 = 2;

/// An auction and how many bids it had until a moment, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct HotItem {
    pub(crate) until: i64,
    pub(crate) auction: u64,
    pub(crate) bids: u64,
}

/// q5: every two seconds, the auction with the most bids in the last ten; all of them where several have as many.
///
/// The counts of a window go on when it has ended, and the most of them when all subtasks have sent theirs.
pub(super) fn q5(events: &DataStream<Event>) -> DataStream<HotItem> {
    let (size, slide) = (
        Duration::from_secs(SIZE_SECONDS),
        Duration::from_secs(SLIDE_SECONDS),
    );
    let counts = bids(events)
        .key_by(|bid| bid.auction)
        .window(SlidingEventTimeWindows::of(size, slide))
        .aggregate_with(Count, |auction, context, bids, out| {
            out.collect(HotItem {
                until: context.window().end().0,
                auction: *auction,
                bids,
            });
            Ok(())
        });
    counts
        .key_by(|item| item.until)
        .window(TumblingEventTimeWindows::of(slide))
        .aggregate_with(Hottest, |_until, _context, hottest, out| {
            hottest.into_iter().for_each(|item| out.collect(item));
            Ok(())
        })
}

/// The items with the most bids.
#[derive(Clone)]
struct Hottest;

impl AggregateFunction for Hottest {
    type Input = HotItem;
    type Accumulator = Vec<HotItem>;
    type Output = Vec<HotItem>;

    fn create_accumulator(&self) -> Vec<HotItem> {
        Vec::new()
    }

    fn add(&self, hottest: &mut Vec<HotItem>, item: HotItem) {
        let most = hottest.first().map_or(0, |item| item.bids);
        if item.bids > most {
            hottest.clear();
        }
        if item.bids >= most {
            hottest.push(item);
        }
    }

    fn result(&self, hottest: &Vec<HotItem>) -> Vec<HotItem> {
        hottest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_with_as_many_bids_are_all_the_hottest() {
        let item = |auction, bids| HotItem {
            until: 0,
            auction,
            bids,
        };
        let mut hottest = Hottest.create_accumulator();
        for (auction, bids) in [(1, 2), (2, 3), (3, 1), (4, 3)] {
            Hottest.add(&mut hottest, item(auction, bids));
        }
        assert_eq!(Hottest.result(&hottest), [item(2, 3), item(4, 3)]);
    }
}
