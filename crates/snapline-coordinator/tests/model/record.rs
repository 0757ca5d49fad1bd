//! What flows: records, each of which can be told from all others.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A record, alone in its batch. It is the same one as long as it has been round the loop as often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u8,
    pub(crate) rounds: u8,
}

/// Records without an order, kept sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bag(pub(crate) Vec<Record>);

impl Bag {
    pub(crate) fn insert(&mut self, record: Record) {
        let position = self.0.partition_point(|other| *other <= record);
        self.0.insert(position, record);
    }

    pub(crate) fn extend(&mut self, records: impl IntoIterator<Item = Record>) {
        records.into_iter().for_each(|record| self.insert(record));
    }

    /// What is in it and not in the other one, counting repetitions.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = self.0.clone();
        for record in &other.0 {
            if let Some(position) = rest.iter().position(|mine| mine == record) {
                rest.remove(position);
            }
        }
        Self(rest)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rounds {
            0 => write!(f, "r{}", self.id),
            rounds => write!(f, "r{}'{rounds}", self.id),
        }
    }
}

impl fmt::Display for Bag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
