//! A collection of items per key, each of which may expire on its own.

use crate::access::TableMut;
use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::ttl::{ExpiringItems, Mortal, Ttl, is_alive};
use crate::value_state::{LOOKED_AT, ValueState};
use snapline_core::{Data, Key, MaxParallelism, Result, Timestamp};
use std::collections::BTreeMap;
use std::fmt;

/// What lists and maps have in common. A key with no items has no entry.
pub(crate) struct ItemsState<K, C>(Kind<K, C>);

enum Kind<K, C> {
    Plain(ValueState<K, C>),
    Expiring(ValueState<K, ExpiringItems<C>>, Ttl),
}

/// A collection whose items have positions.
pub(crate) trait Items: Data + Default {
    fn len(&self) -> usize;

    /// Keeps the items at these positions.
    fn retain_at(&mut self, keep: impl FnMut(usize) -> bool);
}

/// Is told which items are written, to note when they expire.
pub(crate) struct Moments<'a>(Option<(&'a mut Vec<Timestamp>, Timestamp)>);

impl<K: Key, C: Items> ItemsState<K, C> {
    pub(crate) fn register(
        descriptor: &StateDescriptor<C>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        let spec = TableSpec::of_items::<K, C>(descriptor);
        Self(match &descriptor.evolution().ttl {
            None => Kind::Plain(ValueState::of_table(spec, tables, max_parallelism)),
            Some(ttl) => {
                let state = ValueState::of_table(spec, tables, max_parallelism);
                Kind::Expiring(state, ttl.clone())
            }
        })
    }

    /// Looks at the items of a key where they are, `None` when it has none.
    pub(crate) fn read<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(Option<&C>) -> R,
    ) -> Result<R> {
        let (state, ttl) = match &self.0 {
            Kind::Plain(state) => return state.table(backend)?.read(hash, key, look),
            Kind::Expiring(state, ttl) => (state, ttl),
        };
        if ttl.shows_expired() {
            let mut table = state.table(backend)?;
            let outcome = table.read(hash, key, |entry| look(entry.map(|entry| &entry.items)))?;
            settle(&mut table, hash, key, ttl)?;
            return Ok(outcome);
        }
        let mut table = swept(state, backend, ttl.now())?;
        settle(&mut table, hash, key, ttl)?;
        table.read(hash, key, |entry| look(entry.map(|entry| &entry.items)))
    }

    /// Changes the items of a key in place, of which there may be none, and tells which were written.
    pub(crate) fn modify<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        change: impl FnOnce(&mut C, Moments<'_>) -> R,
    ) -> Result<R> {
        match &self.0 {
            Kind::Plain(state) => change_entry(&mut state.table(backend)?, hash, key, C::len, |items| {
                change(items, Moments(None))
            }),
            Kind::Expiring(state, ttl) => {
                let (now, expire_at) = (ttl.now(), ttl.expiry());
                let len = |entry: &ExpiringItems<C>| entry.items.len();
                change_entry(&mut swept(state, backend, now)?, hash, key, len, |entry| {
                    entry.forget_dead(now);
                    let moments = Moments(Some((&mut entry.expire_at, expire_at)));
                    change(&mut entry.items, moments)
                })
            }
        }
    }

    /// Removes the items of a key.
    pub(crate) fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        match &self.0 {
            Kind::Plain(state) => state.table(backend)?.remove(hash, key),
            Kind::Expiring(state, ttl) => swept(state, backend, ttl.now())?.remove(hash, key),
        }
    }

    /// Looks at the items of all keys, in any order.
    pub(crate) fn scan(
        &self,
        backend: &mut dyn KeyedStateBackend,
        visit: &mut dyn FnMut(&K, &C) -> Result<()>,
    ) -> Result<()> {
        match &self.0 {
            Kind::Plain(state) => state.table(backend)?.scan(visit),
            Kind::Expiring(state, ttl) => {
                let now = ttl.now();
                state.table(backend)?.scan(&mut |key, entry| {
                    if entry.has_only_living(now) {
                        return visit(key, &entry.items);
                    }
                    let mut living = entry.clone();
                    living.forget_dead(now);
                    match living.items.len() {
                        0 => Ok(()),
                        _ => visit(key, &living.items),
                    }
                })
            }
        }
    }
}

/// The table, without some of the entries of which nothing lives.
fn swept<'a, K: Key, C: Items>(
    state: &ValueState<K, ExpiringItems<C>>,
    backend: &'a mut dyn KeyedStateBackend,
    now: Timestamp,
) -> Result<TableMut<'a, K, ExpiringItems<C>>> {
    let mut table = state.table(backend)?;
    table.sweep(LOOKED_AT, |entry| !entry.is_alive(now));
    Ok(table)
}

/// Removes what has expired of the items of a key that are read, and lets the others live on if reads count.
fn settle<K: Key, C: Items>(
    table: &mut TableMut<'_, K, ExpiringItems<C>>,
    hash: u64,
    key: &K,
    ttl: &Ttl,
) -> Result<()> {
    let (now, counts_reads) = (ttl.now(), ttl.counts_reads());
    let is_as_it_should_be = |entry: Option<&ExpiringItems<C>>| {
        entry.is_none_or(|entry| !counts_reads && entry.has_only_living(now))
    };
    if table.read(hash, key, is_as_it_should_be)? {
        return Ok(());
    }
    let expire_at = ttl.expiry();
    let is_empty = table.modify(hash, key, |slot| match slot {
        Slot::Occupied(entry) => {
            entry.forget_dead(now);
            if counts_reads {
                entry.expire_at.fill(expire_at);
            }
            entry.items.len() == 0
        }
        Slot::Vacant(_) => false,
    })?;
    if is_empty {
        table.remove(hash, key)?;
    }
    Ok(())
}

/// Changes an entry, which begins empty, and removes it when it ends so.
fn change_entry<K: Key, V: Data + Default, R>(
    table: &mut TableMut<'_, K, V>,
    hash: u64,
    key: &K,
    len: impl Fn(&V) -> usize,
    change: impl FnOnce(&mut V) -> R,
) -> Result<R> {
    let (outcome, is_left_empty) = table.modify(hash, key, |slot| match slot {
        Slot::Occupied(entry) => {
            let outcome = change(entry);
            (outcome, len(entry) == 0)
        }
        Slot::Vacant(vacant) => {
            let mut entry = V::default();
            let outcome = change(&mut entry);
            *vacant = (len(&entry) > 0).then_some(entry);
            (outcome, false)
        }
    })?;
    if is_left_empty {
        table.remove(hash, key)?;
    }
    Ok(outcome)
}

impl<C: Items> ExpiringItems<C> {
    fn has_only_living(&self, now: Timestamp) -> bool {
        self.expire_at.iter().all(|moment| is_alive(*moment, now))
    }

    fn forget_dead(&mut self, now: Timestamp) {
        if !self.has_only_living(now) {
            let moments = &self.expire_at;
            self.items.retain_at(|at| is_alive(moments[at], now));
            self.expire_at.retain(|moment| is_alive(*moment, now));
        }
    }
}

impl Moments<'_> {
    /// Whether anybody wants to know positions.
    pub(crate) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// All items were written, of which there are this many now.
    pub(crate) fn all_written(&mut self, len: usize) {
        if let Some((moments, expire_at)) = &mut self.0 {
            moments.clear();
            moments.resize(len, *expire_at);
        }
    }

    /// Items were added at the end, up to this many.
    pub(crate) fn added(&mut self, len: usize) {
        if let Some((moments, expire_at)) = &mut self.0 {
            moments.resize(len, *expire_at);
        }
    }

    /// The item at this position was written.
    pub(crate) fn written(&mut self, at: usize) {
        if let Some((moments, expire_at)) = &mut self.0 {
            moments[at] = *expire_at;
        }
    }

    /// There is a new item at this position.
    pub(crate) fn inserted(&mut self, at: usize) {
        if let Some((moments, expire_at)) = &mut self.0 {
            moments.insert(at, *expire_at);
        }
    }

    /// The item at this position is gone.
    pub(crate) fn removed(&mut self, at: usize) {
        if let Some((moments, _)) = &mut self.0 {
            moments.remove(at);
        }
    }
}

impl<T: Data> Items for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn retain_at(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut positions = 0..;
        self.retain(|_| positions.next().is_some_and(&mut keep));
    }
}

impl<MK: Key + Ord, MV: Data> Items for BTreeMap<MK, MV> {
    fn len(&self) -> usize {
        self.len()
    }

    fn retain_at(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut positions = 0..;
        self.retain(|_, _| positions.next().is_some_and(&mut keep));
    }
}

impl<K, C> Clone for ItemsState<K, C> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Kind::Plain(state) => Kind::Plain(state.clone()),
            Kind::Expiring(state, ttl) => Kind::Expiring(state.clone(), ttl.clone()),
        })
    }
}

impl<K, C> fmt::Debug for ItemsState<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Plain(state) => fmt::Debug::fmt(state, f),
            Kind::Expiring(state, _) => fmt::Debug::fmt(state, f),
        }
    }
}
