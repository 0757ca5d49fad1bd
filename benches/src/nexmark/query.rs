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
    /// The auctions with the most bids of late.
    Q5,
    /// The highest bid of each while.
    Q7,
}

impl Query {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Q0, Self::Q1, Self::Q2, Self::Q3, Self::Q5, Self::Q7];

    /// Its usual name, `q` and a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q0 => "q0",
            Self::Q1 => "q1",
            Self::Q2 => "q2",
            Self::Q3 => "q3",
            Self::Q5 => "q5",
            Self::Q7 => "q7",
        }
    }

    /// The query of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|query| query.name() == name)
    }

    /// Whether a run has arrived at what it should.
    pub fn agrees(self, totals: Totals, expected: Totals) -> bool {
        totals == expected
    }
}
