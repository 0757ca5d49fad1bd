//! q3: who sells in three states, in one category.

use super::event::{Auction, Event, Person};
use super::streams::{auctions, persons};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use snapline::Result;
use snapline::prelude::*;

/// The category that is asked for.
pub(crate) const CATEGORY: u64 = 10;

/// The states that are asked for.
pub(crate) const STATES: [&str; 3] = ["OR", "ID", "CA"];

/// A seller, and an auction of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct LocalSeller {
    pub(crate) name: CompactString,
    pub(crate) city: CompactString,
    pub(crate) state: CompactString,
    pub(crate) auction: u64,
}

impl LocalSeller {
    pub(crate) fn new(person: &Person, auction: u64) -> Self {
        Self {
            name: person.name.clone(),
            city: person.city.clone(),
            state: person.state.clone(),
            auction,
        }
    }
}

/// q3: each auction of the category with its seller, if they live in one of the states.
///
/// A pair goes out when both are there, whichever came first, so the pairs are always the same.
pub(super) fn q3(events: &DataStream<Event>) -> DataStream<LocalSeller> {
    let persons = persons(events).filter(|person| STATES.contains(&person.state.as_str()));
    let auctions = auctions(events).filter(|auction| auction.category == CATEGORY);
    let by_seller = persons
        .connect(&auctions)
        .key_by(|person| person.id, |auction| auction.seller);
    by_seller.process(WithSeller::default())
}

/// Auctions wait for their seller, who comes once.
#[derive(Clone, Default)]
struct WithSeller {
    seller: ValueState<u64, Person>,
    waiting: ListState<u64, u64>,
}

impl KeyedCoProcessFunction<u64, Person, Auction> for WithSeller {
    type Output = LocalSeller;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.seller = context.value_state("seller");
        self.waiting = context.list_state("waiting");
        Ok(())
    }

    fn process_left(
        &mut self,
        person: Person,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, LocalSeller>,
    ) -> Result<()> {
        for auction in self.waiting.items(context)? {
            out.collect(LocalSeller::new(&person, auction));
        }
        self.waiting.clear(context)?;
        self.seller.update(context, person)
    }

    fn process_right(
        &mut self,
        auction: Auction,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, LocalSeller>,
    ) -> Result<()> {
        match self.seller.value(context)? {
            Some(person) => out.collect(LocalSeller::new(&person, auction.id)),
            None => self.waiting.add(context, auction.id)?,
        }
        Ok(())
    }
}
