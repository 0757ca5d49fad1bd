//! What a table holds, told to a backend that does not know the types.

use crate::conversion::Evolution;
use crate::descriptor::StateDescriptor;
use crate::format::block::stored::StoredEntries;
use crate::format::block::{BlockWriter, TableMeta};
use crate::schema::Schema;
use crate::table::StateTable;
use crate::ttl::{Expiring, ExpiringItems, Expiry, Mortal, sweep_table};
use snapline_core::{Data, Key, MaxParallelism, Result};
use std::any::Any;
use std::num::NonZeroUsize;

/// The position of a table among the tables of its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A table that an operator wants: its name, its types, and how to make one in memory.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub(crate) meta: TableMeta,
    pub(crate) evolution: Evolution,
    live: fn(MaxParallelism) -> Box<dyn LiveTable>,
}

impl TableSpec {
    /// The table of this name with keys `K` and values `V`, schema version 1.
    pub fn new<K: Key, V: Data>(name: impl Into<String>) -> Self {
        let meta = TableMeta {
            name: name.into(),
            version: 1,
            key_type: short_type_name::<K>(),
            key_version: 1,
            value_type: short_type_name::<V>(),
            schema: Schema::of::<K, V>(),
        };
        Self {
            meta,
            evolution: Evolution::default(),
            live: |max| Box::new(StateTable::<K, V>::new(max)),
        }
    }

    /// The table that a descriptor is of, with keys `K`.
    pub fn of<K: Key, V: Data>(descriptor: &StateDescriptor<V>) -> Self {
        Self::expiring::<K, V, Expiring<V>>(descriptor, Expiry::Values)
    }

    /// The table that the descriptor of a collection is of, whose items expire one by one.
    pub(crate) fn of_items<K: Key, C: Data>(descriptor: &StateDescriptor<C>) -> Self {
        Self::expiring::<K, C, ExpiringItems<C>>(descriptor, Expiry::Items)
    }

    /// The table of a descriptor, with values `E` if something expires.
    fn expiring<K: Key, V: Data, E: Data + Mortal>(descriptor: &StateDescriptor<V>, expiry: Expiry) -> Self {
        let mut spec = Self::new::<K, V>(descriptor.name());
        spec.meta.version = descriptor.schema_version();
        spec.evolution = descriptor.evolution().clone();
        if spec.evolution.ttl.is_some() {
            spec.meta.value_type = expiry.type_of(&spec.meta.value_type);
            spec.meta.schema = Schema::of::<K, E>();
            spec.live = |max| Box::new(StateTable::<K, E>::new(max));
            spec.evolution.expiry = expiry;
            spec.evolution.sweep = Some(sweep_table::<K, E>);
        }
        spec
    }

    pub(crate) fn evolution(&self) -> &Evolution {
        &self.evolution
    }

    /// What is stored about the table.
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// An empty table in memory, for a backend that keeps live values.
    pub fn live(&self, max_parallelism: MaxParallelism) -> Box<dyn LiveTable> {
        (self.live)(max_parallelism)
    }
}

/// A [`StateTable`] whose types are known only to its operator.
pub trait LiveTable: Any + Send {
    /// How many keys have a value.
    fn len(&self) -> usize;

    /// Whether no key has a value.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts the entries of a full snapshot, none of whose keys is there yet, or applies a delta to what was
    /// loaded before. A running freeze is given up.
    ///
    /// `threads` is how many threads may be used, with that of the caller; few entries are loaded by the caller
    /// alone.
    ///
    /// # Errors
    /// `Corrupted` when the bytes are not of the table's types; some entries may be there.
    fn load(&mut self, stored: &StoredEntries, threads: NonZeroUsize) -> Result<()>;

    /// Freezes the table: from now on [`LiveTable::drain`] hands out the entries of this moment.
    /// Constant time. A freeze that was not drained to its end is given up. Returns the number of the freeze,
    /// one more than that of the freeze before; the first is 1.
    fn freeze(&mut self) -> u64;

    /// From now on the table knows what has changed since freezes that come, and since now, which counts as a
    /// freeze too, with the number of the last one or 0.
    fn track(&mut self);

    /// Whether the table can be frozen with what has changed since this freeze alone. It cannot when it does
    /// not track changes, when it was frozen with the changes since a later one, or when so much was removed
    /// that a full snapshot is smaller.
    fn knows_changes_since(&self, freeze: u64) -> bool;

    /// About how large a share of the entries has changed since a freeze of which the table knows that, from 0 for
    /// none to 1 for all. Constant time: it looks at a sample.
    fn changed_share(&self, since: u64) -> f64;

    /// Freezes the table: from now on [`LiveTable::drain`] hands out the entries of this moment that have
    /// changed since an earlier freeze, and the keys that are gone since. All entries, when the table
    /// [does not know](Self::knows_changes_since). Constant time.
    fn freeze_changes(&mut self, since: u64) -> u64;

    /// Writes the next few thousand frozen entries; `true` when none are left.
    ///
    /// # Errors
    /// `Invalid` when an entry cannot be encoded.
    fn drain(&mut self, table: TableId, out: &mut BlockWriter) -> Result<bool>;

    /// Gives the freeze up.
    fn thaw(&mut self);

    /// The table as `Any`, to find its types again.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// The name of a type without the paths of its modules, so that moving a type does not change it.
fn short_type_name<T>() -> String {
    let mut short = String::new();
    for part in
        std::any::type_name::<T>().split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
    {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_type_has_no_paths() {
        assert_eq!(
            short_type_name::<(String, Option<Vec<u64>>)>(),
            "(String, Option<Vec<u64>>)"
        );
    }
}
