//! The events of the market as streams.

use super::event::{Auction, Bid, Event, Person};
use super::market::Market;
use snapline::Result;
use snapline::prelude::*;
use snapline_core::Error;

/// All events, with watermarks behind each of them. The subtasks of the source take turns.
pub(super) fn events(
    env: &StreamExecutionEnvironment,
    market: Market,
    parallelism: u32,
) -> Result<DataStream<Event>> {
    let readers = u64::from(parallelism.max(1));
    if !market.events.is_multiple_of(readers) {
        return Err(Error::invalid(
            "the subtasks of the source take turns; let the events be a multiple of the parallelism",
        )
        .with("events", market.events)
        .with("parallelism", readers));
    }
    let source = GeneratorSource::new(market.events, move |position| {
        market.event(market.in_turn(position, readers))
    });
    let strategy = WatermarkStrategy::<Event>::for_monotonous_timestamps()
        .with_timestamp_assigner(|event| Timestamp(event.date_time()));
    Ok(env.from_source_with_watermarks(source, strategy, "events"))
}

pub(super) fn persons(events: &DataStream<Event>) -> DataStream<Person> {
    let persons = events.flat_map(|event, out| {
        if let Event::Person(person) = event {
            out.collect(*person);
        }
    });
    persons.name("persons")
}

pub(super) fn auctions(events: &DataStream<Event>) -> DataStream<Auction> {
    let auctions = events.flat_map(|event, out| {
        if let Event::Auction(auction) = event {
            out.collect(*auction);
        }
    });
    auctions.name("auctions")
}

pub(super) fn bids(events: &DataStream<Event>) -> DataStream<Bid> {
    let bids = events.flat_map(|event, out| {
        if let Event::Bid(bid) = event {
            out.collect(bid);
        }
    });
    bids.name("bids")
}
