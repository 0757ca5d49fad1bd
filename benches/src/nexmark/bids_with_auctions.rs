//! q20: bids together with what they are for.

use super::event::{Auction, Bid, Event};
use super::local_sellers::CATEGORY;
use super::streams::{auctions, bids};
use snapline::Result;
use snapline::prelude::*;

/// q20: each bid with its auction, if that is of one category, whenever the bid was made.
///
/// A pair goes out when both are there, whichever came first, so the pairs are always the same.
pub(super) fn q20(events: &DataStream<Event>) -> DataStream<(Bid, Auction)> {
    let by_auction = auctions(events)
        .connect(&bids(events))
        .key_by(|auction| auction.id, |bid| bid.auction);
    by_auction.process(WithAuction::default())
}

/// Bids wait for their auction, which comes once.
#[derive(Clone, Default)]
struct WithAuction {
    /// That it is of another category is also known, so that its bids do not wait for ever.
    auction: ValueState<u64, Option<Auction>>,
    waiting: ListState<u64, Bid>,
}

impl KeyedCoProcessFunction<u64, Auction, Bid> for WithAuction {
    type Output = (Bid, Auction);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.auction = context.value_state("auction");
        self.waiting = context.list_state("waiting");
        Ok(())
    }

    fn process_left(
        &mut self,
        auction: Auction,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (Bid, Auction)>,
    ) -> Result<()> {
        let wanted = (auction.category == CATEGORY).then_some(auction);
        if let Some(auction) = &wanted {
            for bid in self.waiting.items(context)? {
                out.collect((bid, auction.clone()));
            }
        }
        self.waiting.clear(context)?;
        self.auction.update(context, wanted)
    }

    fn process_right(
        &mut self,
        bid: Bid,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (Bid, Auction)>,
    ) -> Result<()> {
        let is_known = self.auction.read(context, |known| {
            if let Some(Some(auction)) = known {
                out.collect((bid, auction.clone()));
            }
            known.is_some()
        })?;
        if !is_known {
            self.waiting.add(context, bid)?;
        }
        Ok(())
    }
}
