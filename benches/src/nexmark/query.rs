//! The names of the queries, and when their results are right.

use crate::expected::Totals;

/// A query of Nexmark, under its usual number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Query {
    /// Every event as it is.
    Q0,
    /// Prices in another currency.
    Q1,
    /// The bids for some auctions.
    Q2,
    /// Sellers in some states, in one category.
    Q3,
    /// The average price for which auctions of each category are won.
    Q4,
    /// The auctions with the most bids of late.
    Q5,
    /// The highest bid of each while.
    Q7,
    /// Who sells as soon as they have registered.
    Q8,
    /// The bid that wins each auction.
    Q9,
    /// The bids of each bidder in sessions.
    Q11,
    /// The bids of each bidder in windows of the clock.
    Q12,
    /// The bids, bidders and auctions of each day.
    Q15,
    /// The same for each channel.
    Q16,
    /// The prices for each auction on each day.
    Q17,
    /// The last bid of each bidder for each auction.
    Q18,
    /// The ten highest bids for each auction.
    Q19,
    /// The bids for one category, with their auctions.
    Q20,
}

impl Query {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Q0,
        Self::Q1,
        Self::Q2,
        Self::Q3,
        Self::Q4,
        Self::Q5,
        Self::Q7,
        Self::Q8,
        Self::Q9,
        Self::Q11,
        Self::Q12,
        Self::Q15,
        Self::Q16,
        Self::Q17,
        Self::Q18,
        Self::Q19,
        Self::Q20,
    ];

    /// Its usual name, `q` and a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q0 => "q0",
            Self::Q1 => "q1",
            Self::Q2 => "q2",
            Self::Q3 => "q3",
            Self::Q4 => "q4",
            Self::Q5 => "q5",
            Self::Q7 => "q7",
            Self::Q8 => "q8",
            Self::Q9 => "q9",
            Self::Q11 => "q11",
            Self::Q12 => "q12",
            Self::Q15 => "q15",
            Self::Q16 => "q16",
            Self::Q17 => "q17",
            Self::Q18 => "q18",
            Self::Q19 => "q19",
            Self::Q20 => "q20",
        }
    }

    /// The query of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|query| query.name() == name)
    }

    /// Whether a run has arrived at what it should. How many windows of the clock there were is not known.
    pub fn agrees(self, totals: Totals, expected: Totals) -> bool {
        match self {
            Self::Q12 => totals.sum == expected.sum,
            _ => totals == expected,
        }
    }
}
