//! Who wins each auction, and for how much on average: q9 and q4.

use super::event::{Auction, Bid, Event};
use super::streams::{auctions, bids};
use serde::{Deserialize, Serialize};
use snapline::Result;
use snapline::prelude::*;
use snapline::state::Slot;
use std::cmp::Reverse;

/// An auction and its highest bid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct WinningBid {
    pub(crate) auction: Auction,
    pub(crate) bid: Bid,
}

/// By which bids are compared: of equal ones the earlier wins, then the one with the lower numbers.
pub(crate) fn rank(bid: &Bid) -> impl Ord + use<> {
    let Bid {
        price,
        date_time,
        bidder,
        channel,
        ..
    } = *bid;
    (price, Reverse((date_time, bidder, channel)))
}

/// q9: each auction with the highest of the bids that were made while it was open, if there was one.
///
/// It goes out when the auction has expired and all subtasks have come so far: no bid is missed, whichever way it took.
pub(super) fn q9(events: &DataStream<Event>) -> DataStream<WinningBid> {
    let by_auction = auctions(events)
        .connect(&bids(events))
        .key_by(|auction| auction.id, |bid| bid.auction);
    by_auction.process(Sale::default())
}

/// q4: the average price, rounded down, for which auctions of a category were won, when all auctions have expired.
pub(super) fn q4(events: &DataStream<Event>) -> DataStream<(u64, u64)> {
    q9(events)
        .map(|won| (won.auction.category, won.bid.price))
        .key_by(|(category, _)| *category)
        .emit(Emit::Final)
        .fold((0_u64, 0_u64), |(sum, count), (_, price)| {
            *sum += price;
            *count += 1;
        })
        .map(|(category, (sum, count))| (category, sum / count))
}

/// Keeps the best bid of each auction until it expires.
#[derive(Clone, Default)]
struct Sale {
    lots: ValueState<u64, Lot>,
}

/// What is known of an auction.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lot {
    auction: Option<Auction>,
    best: Option<Bid>,
    /// Bids that came before the auction: it may be that it was opened before them all the same.
    early: Vec<Bid>,
}

impl Lot {
    fn open(&mut self, auction: Auction) {
        self.auction = Some(auction);
        for bid in std::mem::take(&mut self.early) {
            self.consider(bid);
        }
    }

    fn consider(&mut self, bid: Bid) {
        let Some(auction) = &self.auction else {
            self.early.push(bid);
            return;
        };
        let is_open = (auction.date_time..=auction.expires).contains(&bid.date_time);
        if is_open && self.best.is_none_or(|best| rank(&bid) > rank(&best)) {
            self.best = Some(bid);
        }
    }

    /// The auction with its best bid, if it had one. Bids that no auction can be for any more are forgotten.
    fn close(&mut self, now: i64) -> Option<WinningBid> {
        let has_expired = |auction: &mut Auction| auction.expires <= now;
        if let Some(auction) = self.auction.take_if(has_expired) {
            return self.best.take().map(|bid| WinningBid { auction, bid });
        }
        self.early.retain(|bid| bid.date_time > now);
        None
    }

    fn is_empty(&self) -> bool {
        self.auction.is_none() && self.early.is_empty()
    }
}

impl KeyedCoProcessFunction<u64, Auction, Bid> for Sale {
    type Output = WinningBid;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.lots = context.value_state("lots");
        Ok(())
    }

    fn process_left(
        &mut self,
        auction: Auction,
        context: &mut ProcessContext<'_, u64>,
        _out: &mut Collector<'_, WinningBid>,
    ) -> Result<()> {
        let expires = auction.expires;
        self.lots.modify(context, |slot| of(slot).open(auction))?;
        context.register_event_time_timer(Timestamp(expires))
    }

    fn process_right(
        &mut self,
        bid: Bid,
        context: &mut ProcessContext<'_, u64>,
        _out: &mut Collector<'_, WinningBid>,
    ) -> Result<()> {
        let is_early = self.lots.modify(context, |slot| {
            let lot = of(slot);
            lot.consider(bid);
            lot.auction.is_none()
        })?;
        if is_early {
            context.register_event_time_timer(Timestamp(bid.date_time))?;
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        Timestamp(now): Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, WinningBid>,
    ) -> Result<()> {
        let (won, is_empty) = self.lots.modify(context, |slot| match slot {
            Slot::Occupied(lot) => (lot.close(now), lot.is_empty()),
            Slot::Vacant(_) => (None, false),
        })?;
        won.into_iter().for_each(|won| out.collect(won));
        if is_empty {
            self.lots.clear(context)?;
        }
        Ok(())
    }
}

/// The lot that is there, or a new one.
fn of(slot: Slot<'_, Lot>) -> &mut Lot {
    match slot {
        Slot::Occupied(lot) => lot,
        Slot::Vacant(lot) => lot.get_or_insert_default(),
    }
}
