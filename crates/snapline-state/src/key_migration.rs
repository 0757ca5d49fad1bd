//! Keys whose encoding has changed from one run of the program to the next.

use crate::conversion::Migrate;
use crate::format::block::TableMeta;
use crate::spec::TableSpec;
use snapline_core::{Error, Key, Result, encode_into};
use std::fmt;
use std::sync::Arc;

/// The version of the keys of an operator, and how older keys become those of now.
///
/// The encoding of a key decides to which key group it belongs, so a key that becomes another moves: to restore,
/// each subtask reads the state of all of them, makes all keys anew, and keeps its own. That takes as long as
/// reading all of the state at one subtask, and it is done at every restore as long as the program says how to
/// migrate, even if there is nothing to be migrated any more. The next snapshot is a full one with the new keys;
/// when no older checkpoint is of use any more, say that it is [done](Self::done).
///
/// Keys that are different have to stay different.
///
/// ```
/// use snapline_core::{MaxParallelism, decode};
/// use snapline_state::{KeyMigration, ValueState};
///
/// // Users were known by number; in version 2 of the keys they are known by name.
/// let migration = KeyMigration::new(2, |_version, stored| Ok(format!("user-{}", decode::<u64>(stored)?)));
/// let mut tables = Vec::new();
/// let visits = ValueState::<String, u64>::register("visits", &mut tables, MaxParallelism::DEFAULT);
/// tables.iter_mut().for_each(|table| table.migrate_keys(&migration));
/// assert_eq!(tables[0].meta().key_version, 2);
/// # let _ = visits;
/// ```
#[derive(Clone)]
pub struct KeyMigration {
    version: u32,
    migrate: Option<Migrate>,
}

impl KeyMigration {
    /// Keys have this version now, from 1 on. Older ones become keys by `migrate`, which is given their version and
    /// their bytes: postcard, as [`snapline_core::decode`] reads them.
    pub fn new<K: Key>(
        version: u32,
        migrate: impl Fn(u32, &[u8]) -> Result<K> + Send + Sync + 'static,
    ) -> Self {
        let encoded = move |version: u32, stored: &[u8]| {
            let mut bytes = Vec::new();
            encode_into(&migrate(version, stored)?, &mut bytes)?;
            Ok(bytes)
        };
        Self {
            version,
            migrate: Some(Arc::new(encoded)),
        }
    }

    /// Keys have this version, and no checkpoint with older ones is left.
    pub fn done(version: u32) -> Self {
        Self {
            version,
            migrate: None,
        }
    }
}

impl TableSpec {
    /// Gives the keys of the table a version, and says how older ones become those of now. All tables of an operator
    /// have the same keys.
    pub fn migrate_keys(&mut self, migration: &KeyMigration) {
        self.meta.key_version = migration.version;
        self.evolution.migrate_keys = migration.migrate.clone();
    }

    /// Whether keys may be migrated, so that a subtask needs the state of all of them.
    pub fn migrates_keys(&self) -> bool {
        self.evolution().migrate_keys.is_some()
    }

    /// How the keys of a stored table become those of this one, if they have an older version.
    ///
    /// # Errors
    /// `Invalid` when they have a newer one, or nothing leads from theirs.
    pub(crate) fn key_way_from(&self, stored: &TableMeta) -> Result<Option<(u32, Migrate)>> {
        let wanted = self.meta();
        if stored.key_version == wanted.key_version {
            return Ok(None);
        }
        let rule = if stored.key_version > wanted.key_version {
            "the keys of a restored state have a newer version than the program gives them; run the newer program, or \
             start fresh"
        } else if let Some(migrate) = &self.evolution().migrate_keys {
            return Ok(Some((stored.key_version, migrate.clone())));
        } else {
            "the keys of a restored state have an older version; say how to migrate from it, or start fresh"
        };
        Err(Error::invalid(rule)
            .with("state", &stored.name)
            .with(
                "stored keys",
                format!("{}, version {}", stored.key_type, stored.key_version),
            )
            .with(
                "program",
                format!("{}, version {}", wanted.key_type, wanted.key_version),
            ))
    }
}

impl fmt::Debug for KeyMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMigration")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
