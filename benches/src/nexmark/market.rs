//! The events of a market, each computed from its number alone.
//!
//! The proportions are those of Nexmark (Tucker, Tufte, Papadimos and Maier 2002) as its later implementations have
//! them: of 50 events one is a person, three are auctions and the rest are bids; a few persons and auctions are hot.
//! Prices are spread evenly over orders of magnitude. Texts that no query reads are left out.

use super::event::{Auction, Bid, Event, Person};
use crate::random::SplitMix64;
use compact_str::{CompactString, format_compact};

const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

/// In each 50 events, the first is a person, and the next three are auctions.
const ROUND: u64 = 50;
const AUCTIONS: u64 = 3;

/// One of so many persons and auctions in a row is hot.
const HOT: u64 = 100;
/// So many of the newest persons do something.
const ACTIVE_PERSONS: u64 = 1_000;
/// So many auctions are open at a time, about.
const OPEN_AUCTIONS: u64 = 100;
/// So many persons and auctions are named before their own event.
const LEAD: u64 = 10;
const LARGE_CHANNELS: u64 = 4;
const CHANNELS: u64 = 10_000;

const FIRST_NAMES: [&str; 8] = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hana"];
const LAST_NAMES: [&str; 8] = [
    "Adler", "Brandt", "Costa", "Dubois", "Endo", "Fischer", "Garcia", "Holm",
];
const CITIES: [(&str, &str); 10] = [
    ("Phoenix", "AZ"),
    ("Los Angeles", "CA"),
    ("San Francisco", "CA"),
    ("Boise", "ID"),
    ("Portland", "OR"),
    ("Bend", "OR"),
    ("Seattle", "WA"),
    ("Redmond", "WA"),
    ("Kent", "WA"),
    ("Cheyenne", "WY"),
];

/// A market and how much happens in it.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "the options of a program")]
pub struct Market {
    /// How many events there are.
    pub events: u64,
    /// How many of them there are in a second of event time, at least 1.
    pub events_per_second: u64,
}

impl Market {
    /// The event of a number. Numbers are in the order of time.
    pub fn event(self, number: u64) -> Event {
        let mut random = SplitMix64::new(number);
        match number % ROUND {
            0 => Event::Person(Box::new(self.person(number, &mut random))),
            1..=AUCTIONS => Event::Auction(Box::new(self.auction(number, &mut random))),
            _ => Event::Bid(self.bid(number, &mut random)),
        }
    }

    /// All events, one after the other.
    pub fn all(self) -> impl Iterator<Item = Event> {
        (0..self.events).map(move |number| self.event(number))
    }

    /// The bids among them.
    pub fn bids(self) -> impl Iterator<Item = Bid> {
        self.all().filter_map(|event| match event {
            Event::Bid(bid) => Some(bid),
            Event::Person(_) | Event::Auction(_) => None,
        })
    }

    /// The number of the event that is the `position`-th of a source whose `readers` have a contiguous part each: they take
    /// turns in the events, so that all of them are at about the same time. The events are a multiple of the readers.
    #[inline]
    pub fn in_turn(self, position: u64, readers: u64) -> u64 {
        let part = self.events / readers;
        position % part * readers + position / part
    }

    fn person(self, number: u64, random: &mut SplitMix64) -> Person {
        let (city, state) = one_of(&CITIES, random);
        Person {
            id: FIRST_ID + number / ROUND,
            name: format_compact!("{} {}", one_of(&FIRST_NAMES, random), one_of(&LAST_NAMES, random)),
            city: CompactString::const_new(city),
            state: CompactString::const_new(state),
            date_time: self.time(number),
        }
    }

    fn auction(self, number: u64, random: &mut SplitMix64) -> Auction {
        let initial_bid = price(random);
        let date_time = self.time(number);
        let id = FIRST_ID + auctions_until(number) - 1;
        Auction {
            id,
            item: format_compact!("item {}", id % 997),
            initial_bid,
            reserve: initial_bid + price(random),
            date_time,
            expires: date_time + self.duration(number, random),
            seller: match random.below(4) {
                0 => some_person(number, random),
                _ => FIRST_ID + number / ROUND / HOT * HOT,
            },
            category: FIRST_CATEGORY + random.below(CATEGORIES),
        }
    }

    fn bid(self, number: u64, random: &mut SplitMix64) -> Bid {
        let last_auction = auctions_until(number) - 1;
        Bid {
            auction: match random.below(2) {
                0 => FIRST_ID + some_of_the_last(last_auction, OPEN_AUCTIONS, random),
                _ => FIRST_ID + last_auction / HOT * HOT,
            },
            bidder: match random.below(4) {
                0 => some_person(number, random),
                _ => FIRST_ID + number / ROUND / HOT * HOT + 1,
            },
            price: price(random),
            channel: match random.below(2) {
                0 => (LARGE_CHANNELS + random.below(CHANNELS)) as u32,
                _ => random.below(LARGE_CHANNELS) as u32,
            },
            date_time: self.time(number),
        }
    }

    fn time(self, number: u64) -> i64 {
        (u128::from(number) * 1_000 / u128::from(self.events_per_second)) as i64
    }

    /// How long an auction is open: so that about [`OPEN_AUCTIONS`] are.
    fn duration(self, number: u64, random: &mut SplitMix64) -> i64 {
        let meanwhile = OPEN_AUCTIONS * ROUND / AUCTIONS;
        let horizon = self.time(number + meanwhile) - self.time(number);
        1 + random.below((horizon as u64 * 2).max(1)) as i64
    }
}

/// How many auctions there are up to an event.
fn auctions_until(number: u64) -> u64 {
    number / ROUND * AUCTIONS + (number % ROUND).min(AUCTIONS)
}

fn some_person(number: u64, random: &mut SplitMix64) -> u64 {
    FIRST_ID + some_of_the_last(number / ROUND, ACTIVE_PERSONS, random)
}

/// One of the last `some` up to `last`, or of those soon to come.
fn some_of_the_last(last: u64, some: u64, random: &mut SplitMix64) -> u64 {
    let first = last.saturating_sub(some);
    first + random.below(last - first + 1 + LEAD)
}

/// From one to two million times 100 cents, with the same probability in each doubling.
fn price(random: &mut SplitMix64) -> u64 {
    let doubling = 100 << random.below(20);
    doubling + random.below(doubling)
}

fn one_of<T: Copy>(choice: &[T], random: &mut SplitMix64) -> T {
    choice[random.below(choice.len() as u64) as usize]
}

#[cfg(test)]
mod tests;
