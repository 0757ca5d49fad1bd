//! Timers per key and namespace.

mod index;
mod timers;

use crate::access::TableMut;
use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::ValueState;
use index::{Place, TimerIndex};
use snapline_core::{Error, Key, MaxParallelism, Result, StableHasher, Timestamp};
use timers::Timers;

/// Timers of one kind of time, per key and namespace: each is there once, and comes out when its time has come.
///
/// A timer is state: an entry of an ordinary table has all timers of a key, so they are where the key is, at any
/// parallelism, in every snapshot and on every backend, and the limits are those of a [`MapState`]: a key should
/// have tens or hundreds of timers at a time. The many are made by many keys.
///
/// Which key is next stands in an index in memory, with one place of two numbers and the key for each key that has
/// timers. It is no part of a snapshot; [`TimerState::restore`] makes it anew.
///
/// Adding, deleting and taking a timer each takes a few lookups, however many there are. To fire many, take one at a
/// time and look after other work in between: nothing is gathered.
///
/// [`MapState`]: crate::MapState
///
/// ```
/// use snapline_core::{MaxParallelism, Timestamp};
/// use snapline_state::TimerState;
///
/// let mut tables = Vec::new();
/// let timers = TimerState::<String, u64>::register("timers", &mut tables, MaxParallelism::DEFAULT);
/// assert_eq!(timers.next_time(), None);
/// assert_eq!(tables[0].meta().value_type, "Timers<u64>");
/// ```
#[doc(alias = "InternalTimerService")]
#[derive(Debug)]
pub struct TimerState<K, N> {
    timers: ValueState<K, Timers<N>>,
    index: TimerIndex<K>,
}

/// A timer whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer<K, N> {
    /// The time that it was added for.
    pub time: Timestamp,
    /// The stable hash of its key.
    pub hash: u64,
    /// Its key.
    pub key: K,
    /// Its namespace.
    pub namespace: N,
}

impl<K: Key, N: Key + Ord> TimerState<K, N> {
    /// Adds a table to the tables that an operator wants: of this name.
    pub fn register(
        name: impl Into<String>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        let descriptor = StateDescriptor::<Timers<N>>::new(name);
        Self {
            timers: ValueState::register(descriptor, tables, max_parallelism),
            index: TimerIndex::default(),
        }
    }

    /// Finds the timers of a backend that was just opened: to be called before anything else.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn restore(&mut self, backend: &mut dyn KeyedStateBackend) -> Result<()> {
        let mut places = Vec::new();
        let mut hasher = StableHasher::new();
        self.timers.table(backend)?.scan(&mut |key, timers| {
            if let Some(time) = timers.first_time() {
                let (hash, key) = (hasher.hash(key)?, key.clone());
                places.push(Place { time, hash, key });
            }
            Ok(())
        })?;
        self.index = places.into_iter().collect();
        Ok(())
    }

    /// Adds a timer; whether it was not there yet.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        namespace: N,
        time: Timestamp,
    ) -> Result<bool> {
        let mut table = self.timers.table(backend)?;
        // Timers are often added again, and what is only read is not a change for the next snapshot.
        let is_there = |timers: Option<&Timers<N>>| timers.is_some_and(|timers| timers.has(time, &namespace));
        if table.read(hash, key, is_there)? {
            return Ok(false);
        }
        let before = table.modify(hash, key, |slot| match slot {
            Slot::Occupied(timers) => {
                let before = timers.first_time();
                timers.insert(time, namespace);
                before
            }
            Slot::Vacant(vacant) => {
                *vacant = Some(Timers::One(time, namespace));
                None
            }
        })?;
        if before.is_none_or(|before| time < before) {
            self.index.change(hash, key, before, Some(time));
        }
        Ok(true)
    }

    /// Deletes a timer; whether it was there.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn delete(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        namespace: &N,
        time: Timestamp,
    ) -> Result<bool> {
        let mut table = self.timers.table(backend)?;
        let times = |timers: &Timers<N>| (timers.has(time, namespace), timers.first_time());
        let Some((true, before)) = table.read(hash, key, |timers| timers.map(times))? else {
            return Ok(false);
        };
        let after = change(&mut table, hash, key, |timers| timers.remove(time, namespace))?;
        if after != before {
            self.index.change(hash, key, before, after);
        }
        Ok(true)
    }

    /// The time of the next timer.
    pub fn next_time(&self) -> Option<Timestamp> {
        self.index.first().map(|place| place.time)
    }

    /// Takes the next timer out, if its time is no later than `until`. Those of one time come in any order of
    /// their keys, which is the same in each run.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn take_due(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        until: Timestamp,
    ) -> Result<Option<Timer<K, N>>> {
        let Some(Place { time, hash, key }) = self.index.take_first(until) else {
            return Ok(None);
        };
        let mut table = self.timers.table(backend)?;
        let mut first = None;
        let next = change(&mut table, hash, &key, |timers| first = timers.take_first())?;
        if let Some(time) = next {
            let key = key.clone();
            self.index.insert(Place { time, hash, key });
        }
        match first {
            Some((first, namespace)) if first == time => Ok(Some(Timer {
                time,
                hash,
                key,
                namespace,
            })),
            _ => Err(Error::internal("the index of timers and their table differ")),
        }
    }

    /// The timers of a key, in the order of their times.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn of_key(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
    ) -> Result<Vec<(Timestamp, N)>> {
        self.timers.read(backend, hash, key, |timers| {
            timers.map(Timers::to_vec).unwrap_or_default()
        })
    }
}

/// Changes the timers of a key that has some, and returns the time of the first that is left.
fn change<K: Key, N: Key + Ord>(
    table: &mut TableMut<'_, K, Timers<N>>,
    hash: u64,
    key: &K,
    change: impl FnOnce(&mut Timers<N>),
) -> Result<Option<Timestamp>> {
    let first = table.modify(hash, key, |slot| match slot {
        Slot::Occupied(timers) => {
            change(timers);
            timers.first_time()
        }
        Slot::Vacant(_) => None,
    })?;
    if first.is_none() {
        table.remove(hash, key)?;
    }
    Ok(first)
}
