//! q8: who sells as soon as they have registered.

use super::event::Event;
use super::streams::{auctions, persons};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use snapline::prelude::*;
use std::time::Duration;

/// How long a while is, in seconds.
pub(crate) const WINDOW_SECONDS: u64 = 10;

/// Somebody who has registered and opened an auction in the window from a time on, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct NewSeller {
    pub(crate) id: u64,
    pub(crate) name: CompactString,
    pub(crate) from: i64,
}

/// q8: who has registered and opened an auction within the same ten seconds.
///
/// Both are gathered until the window has ended for all subtasks, and each seller is named once.
pub(super) fn q8(events: &DataStream<Event>) -> DataStream<NewSeller> {
    let persons = persons(events).map(|person| (person.id, person.name));
    let sellers = auctions(events).map(|auction| auction.seller);
    let windows = TumblingEventTimeWindows::of(Duration::from_secs(WINDOW_SECONDS));
    persons
        .connect(&sellers)
        .key_by(|(id, _)| *id, |seller| *seller)
        .window(windows)
        .co_group(|_id, context, persons, auctions, out| {
            let from = context.window().start().0;
            let sellers = persons.into_iter().filter(|_| !auctions.is_empty());
            sellers.for_each(|(id, name)| out.collect(NewSeller { id, name, from }));
            Ok(())
        })
}
