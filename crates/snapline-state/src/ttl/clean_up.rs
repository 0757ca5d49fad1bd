//! Removing what has expired while a job runs.

use super::{Mortal, Ttl};
use crate::access::{SweepPlace, TableMut};
use crate::backend::KeyedStateBackend;
use crate::spec::{TableId, TableSpec};
use snapline_core::{Data, Key, MaxParallelism, Result, Timestamp};

/// Goes round the tables of a subtask in which something expires, and removes what has, a little at a time: so state
/// goes of which no key is ever seen again.
///
/// A round looks at each entry once. The next one begins when a tenth of the time to live has passed since, so
/// that a table whose values live for a day is not gone through all the time.
///
/// ```
/// use snapline_core::{ManualClock, MaxParallelism};
/// use snapline_state::{CleanUp, StateDescriptor, StateTtl, ValueState};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let (mut tables, max) = (Vec::new(), MaxParallelism::DEFAULT);
/// ValueState::<u64, u64>::register("for ever", &mut tables, max);
/// assert!(CleanUp::of(&tables, max).is_none());
/// let ttl = StateTtl::new(Duration::from_secs(60));
/// let minute = StateDescriptor::new("a minute").time_to_live(ttl, Arc::new(ManualClock::default()));
/// ValueState::<u64, u64>::register(minute, &mut tables, max);
/// assert!(CleanUp::of(&tables, max).is_some());
/// ```
#[derive(Debug)]
pub struct CleanUp {
    tables: Vec<Cleaned>,
    max_parallelism: MaxParallelism,
    /// The table whose turn it is.
    turn: usize,
}

/// Looks at so many entries of a table from a place on, and removes those that have expired; whether there are no more.
pub(crate) type SweepTable =
    fn(&mut dyn KeyedStateBackend, TableId, MaxParallelism, Timestamp, &mut SweepPlace) -> Result<bool>;

/// A table in which something expires.
#[derive(Debug)]
struct Cleaned {
    table: TableId,
    ttl: Ttl,
    sweep: SweepTable,
    place: SweepPlace,
    is_in_round: bool,
    /// When the next round begins.
    next_round: Timestamp,
}

/// So many entries are looked at in each call: some microseconds.
const ENTRIES: usize = 4 * 1024;

/// The [`SweepTable`] of a table of these types.
pub(crate) fn sweep_table<K: Key, E: Data + Mortal>(
    backend: &mut dyn KeyedStateBackend,
    table: TableId,
    max_parallelism: MaxParallelism,
    now: Timestamp,
    place: &mut SweepPlace,
) -> Result<bool> {
    let mut table = TableMut::<K, E>::of(backend, table, max_parallelism)?;
    table.sweep_from(place, ENTRIES, |entry| !entry.is_alive(now))
}

impl CleanUp {
    /// Of those of an operator's tables in which something expires, if there are any.
    pub fn of(tables: &[TableSpec], max_parallelism: MaxParallelism) -> Option<Self> {
        let cleaned = |(table, spec): (TableId, &TableSpec)| {
            let evolution = spec.evolution();
            Some(Cleaned {
                table,
                ttl: evolution.ttl.clone()?,
                sweep: evolution.sweep?,
                place: SweepPlace::default(),
                is_in_round: false,
                next_round: Timestamp::MIN,
            })
        };
        let tables: Vec<_> = (0..).map(TableId).zip(tables).filter_map(cleaned).collect();
        (!tables.is_empty()).then_some(Self {
            tables,
            max_parallelism,
            turn: 0,
        })
    }

    /// Looks at some thousand entries if a round is due, on a backend of bytes at some hundred, and removes what has
    /// expired. Returns when to be called again at the latest, by the clock of processing time: a time that has
    /// passed when the round is not over. `None` when only event time tells.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn advance(&mut self, backend: &mut dyn KeyedStateBackend) -> Result<Option<Timestamp>> {
        for _ in 0..self.tables.len() {
            let table = &mut self.tables[self.turn];
            if table.is_due() {
                table.advance(backend, self.max_parallelism)?;
                if !table.is_in_round {
                    self.turn += 1;
                }
                break;
            }
            self.turn += 1;
            if self.turn == self.tables.len() {
                self.turn = 0;
            }
        }
        if self.turn == self.tables.len() {
            self.turn = 0;
        }
        Ok(self.tables.iter().filter_map(Cleaned::wants_to_be_called).min())
    }
}

impl Cleaned {
    fn is_due(&self) -> bool {
        self.is_in_round || self.ttl.now() >= self.next_round
    }

    fn advance(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        max_parallelism: MaxParallelism,
    ) -> Result<()> {
        let now = self.ttl.now();
        if !self.is_in_round {
            self.next_round = now.plus_millis(self.ttl.clean_up_interval());
        }
        self.is_in_round = !(self.sweep)(backend, self.table, max_parallelism, now, &mut self.place)?;
        Ok(())
    }

    fn wants_to_be_called(&self) -> Option<Timestamp> {
        match self.is_in_round {
            true => Some(Timestamp::MIN),
            false => self.ttl.is_of_processing_time().then_some(self.next_round),
        }
    }
}
