//! What happens in an online market: somebody registers, opens an auction, or bids.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What has happened. What is rare and long is boxed, so that bids, which most events are, move at their own size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums, reason = "the market has these three")]
pub enum Event {
    /// Somebody registered.
    Person(Box<Person>),
    /// Somebody opened an auction.
    Auction(Box<Auction>),
    /// Somebody made a bid.
    Bid(Bid),
}

/// Somebody who may sell and bid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "the records of a benchmark")]
pub struct Person {
    /// Unique among persons.
    pub id: u64,
    /// First and last name.
    pub name: CompactString,
    /// Where they live.
    pub city: CompactString,
    /// The state of the city, in two letters.
    pub state: CompactString,
    /// When they registered, in milliseconds.
    pub date_time: i64,
}

/// An auction of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "the records of a benchmark")]
pub struct Auction {
    /// Unique among auctions.
    pub id: u64,
    /// What is sold.
    pub item: CompactString,
    /// Where bids begin, in cents.
    pub initial_bid: u64,
    /// For less the seller does not sell, in cents.
    pub reserve: u64,
    /// When it was opened, in milliseconds.
    pub date_time: i64,
    /// When it ends, in milliseconds.
    pub expires: i64,
    /// The person who sells.
    pub seller: u64,
    /// One of five, from 10 on.
    pub category: u64,
}

/// A bid in an auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "the records of a benchmark")]
pub struct Bid {
    /// The auction, which may not be open yet, or not any more.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// How much, in cents.
    pub price: u64,
    /// The site through which it came: below 4 one of the large ones.
    pub channel: u32,
    /// When it was made, in milliseconds.
    pub date_time: i64,
}

impl Event {
    /// When it happened, in milliseconds.
    #[inline]
    pub fn date_time(&self) -> i64 {
        match self {
            Self::Person(person) => person.date_time,
            Self::Auction(auction) => auction.date_time,
            Self::Bid(bid) => bid.date_time,
        }
    }
}
