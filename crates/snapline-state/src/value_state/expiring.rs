//! The value of a key that may have expired.

use super::ValueState;
use crate::access::TableMut;
use crate::backend::KeyedStateBackend;
use crate::table::Slot;
use crate::ttl::{Expiring, Mortal, Ttl};
use snapline_core::{Data, Key, Result, Timestamp};

/// So many places of a table are looked at with each access, to remove what has expired.
pub(crate) const LOOKED_AT: usize = 8;

/// What is to be done with an entry after an access.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Keep,
    Remove,
}

impl<K: Key, V: Data> ValueState<K, V> {
    fn expiring<'a>(
        &self,
        backend: &'a mut dyn KeyedStateBackend,
        now: Timestamp,
    ) -> Result<TableMut<'a, K, Expiring<V>>> {
        let mut table = TableMut::<K, Expiring<V>>::of(backend, self.table, self.max_parallelism)?;
        table.sweep(LOOKED_AT, |entry| !entry.is_alive(now));
        Ok(table)
    }

    pub(super) fn read_expiring<R>(
        &self,
        ttl: &Ttl,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let now = ttl.now();
        if ttl.shows_expired() {
            return self.read_once(ttl, backend, hash, key, look);
        }
        let mut table = self.expiring(backend, now)?;
        let (outcome, after) = if ttl.counts_reads() {
            table.modify(hash, key, |slot| match slot {
                Slot::Occupied(entry) if entry.is_alive(now) => {
                    entry.expires_at = ttl.expiry();
                    (look(Some(&entry.value)), After::Keep)
                }
                Slot::Occupied(_) => (look(None), After::Remove),
                Slot::Vacant(_) => (look(None), After::Keep),
            })?
        } else {
            table.read(hash, key, |entry| match entry {
                Some(entry) if entry.is_alive(now) => (look(Some(&entry.value)), After::Keep),
                Some(_) => (look(None), After::Remove),
                None => (look(None), After::Keep),
            })?
        };
        if after == After::Remove {
            table.remove(hash, key)?;
        }
        Ok(outcome)
    }

    /// A read that returns what has expired, and removes it.
    fn read_once<R>(
        &self,
        ttl: &Ttl,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let now = ttl.now();
        let mut table = TableMut::<K, Expiring<V>>::of(backend, self.table, self.max_parallelism)?;
        let (outcome, is_alive) = table.read(hash, key, |entry| {
            let is_alive = entry.map(|entry| entry.is_alive(now));
            (look(entry.map(|entry| &entry.value)), is_alive)
        })?;
        if is_alive == Some(false) {
            table.remove(hash, key)?;
        } else if ttl.counts_reads() {
            table.modify(hash, key, |slot| {
                if let Slot::Occupied(entry) = slot {
                    entry.expires_at = ttl.expiry();
                }
            })?;
        }
        table.sweep(LOOKED_AT, |entry| !entry.is_alive(now));
        Ok(outcome)
    }

    pub(super) fn modify_expiring<R>(
        &self,
        ttl: &Ttl,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        change: impl FnOnce(Slot<'_, V>) -> R,
    ) -> Result<R> {
        let now = ttl.now();
        let expires_at = ttl.expiry();
        let mut table = self.expiring(backend, now)?;
        let (outcome, after) = table.modify(hash, key, |slot| {
            let mut new = None;
            match slot {
                Slot::Occupied(entry) if entry.is_alive(now) => {
                    entry.expires_at = expires_at;
                    (change(Slot::Occupied(&mut entry.value)), After::Keep)
                }
                Slot::Occupied(entry) => {
                    let outcome = change(Slot::Vacant(&mut new));
                    let Some(value) = new else {
                        return (outcome, After::Remove);
                    };
                    *entry = Expiring { expires_at, value };
                    (outcome, After::Keep)
                }
                Slot::Vacant(vacant) => {
                    let outcome = change(Slot::Vacant(&mut new));
                    *vacant = new.map(|value| Expiring { expires_at, value });
                    (outcome, After::Keep)
                }
            }
        })?;
        if after == After::Remove {
            table.remove(hash, key)?;
        }
        Ok(outcome)
    }

    /// Hands out the keys whose values live.
    pub(super) fn scan_expiring(
        &self,
        ttl: &Ttl,
        backend: &mut dyn KeyedStateBackend,
        visit: &mut dyn FnMut(&K) -> Result<()>,
    ) -> Result<()> {
        let now = ttl.now();
        self.expiring(backend, now)?
            .scan(&mut |key, entry| if entry.is_alive(now) { visit(key) } else { Ok(()) })
    }

    pub(super) fn remove_expiring(
        &self,
        ttl: &Ttl,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
    ) -> Result<()> {
        self.expiring(backend, ttl.now())?.remove(hash, key)
    }
}
