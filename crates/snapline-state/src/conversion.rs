//! From the values that were stored to those of the program: older schemas, and times to live.

use crate::format::block::{Entry, TableMeta};
use crate::spec::TableSpec;
use crate::ttl::{Expiry, SweepTable, Ttl, is_alive};
use bytes::Bytes;
use snapline_core::{Error, Result, Timestamp};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Turns the encoded value of an older version into an encoded one of the program.
pub(crate) type Migrate = Arc<dyn Fn(u32, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// What a table does with the values of a snapshot.
#[derive(Clone, Default)]
pub(crate) struct Evolution {
    pub(crate) migrate: Option<Migrate>,
    pub(crate) migrate_keys: Option<Migrate>,
    pub(crate) ttl: Option<Ttl>,
    /// What expires, in a table of the type that the program gives it.
    pub(crate) expiry: Expiry,
    /// How it is removed in the background.
    pub(crate) sweep: Option<SweepTable>,
}

impl fmt::Debug for Evolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evolution")
            .field("migrate", &self.migrate.is_some())
            .field("migrate_keys", &self.migrate_keys.is_some())
            .field("ttl", &self.ttl)
            .field("expiry", &self.expiry)
            .finish()
    }
}

/// How the values of a stored table become those that the program wants.
///
/// [`StateContext::restore_entries`](crate::StateContext::restore_entries) and
/// [`restore_tables`](crate::StateContext::restore_tables) convert what they hand out. A backend with
/// a format of its own converts each value that it restores.
#[derive(Clone)]
pub struct Conversion {
    name: String,
    /// The stored version, if it is an older one, and the way from it.
    migrate: Option<(u32, Migrate)>,
    /// The same of the keys.
    migrate_keys: Option<(u32, Migrate)>,
    wanted_version: u32,
    stored: Expiry,
    wanted: Expiry,
    ttl: Option<Ttl>,
}

impl TableSpec {
    /// How the values of a stored table become those of this one; `None` when they are as they should be.
    ///
    /// # Errors
    /// `Invalid` when they cannot: the stored version is a newer one, or an older one from which the
    /// descriptor does not say how to migrate, or it is the same and the types are others.
    pub fn conversion(&self, stored: &TableMeta) -> Result<Option<Conversion>> {
        let wanted = self.meta();
        let migrate_keys = self.key_way_from(stored)?;
        let mut stored = Cow::Borrowed(stored);
        if migrate_keys.is_some() {
            stored = Cow::Owned(TableMeta {
                key_type: wanted.key_type.clone(),
                key_version: wanted.key_version,
                ..stored.into_owned()
            });
        }
        let stored = &*stored;
        let (expiry, bare_type) = Expiry::of_type(&stored.value_type);
        let wanted_expiry = self.evolution().expiry;
        let migrate = if stored.version == wanted.version {
            // What expires may come to expire no more, or the other way round, and nothing else may change.
            let can_change = expiry == Expiry::Nothing || wanted_expiry == Expiry::Nothing;
            let as_if = TableMeta {
                value_type: wanted_expiry.type_of(bare_type),
                ..stored.clone()
            };
            let comes = if can_change { &as_if } else { stored };
            comes
                .check_against(wanted)
                .or_else(|_| stored.check_against(wanted))?;
            None
        } else {
            Some((stored.version, self.way_from(stored)?))
        };
        let ttl = self.evolution().ttl.clone();
        let is_as_wanted =
            migrate.is_none() && migrate_keys.is_none() && expiry == Expiry::Nothing && ttl.is_none();
        Ok((!is_as_wanted).then(|| Conversion {
            name: wanted.name.clone(),
            migrate,
            migrate_keys,
            wanted_version: wanted.version,
            stored: expiry,
            wanted: wanted_expiry,
            ttl,
        }))
    }

    /// The migration from an older version.
    fn way_from(&self, stored: &TableMeta) -> Result<Migrate> {
        let wanted = self.meta();
        let refuse = |rule: &str| {
            Error::invalid(rule)
                .with("state", &stored.name)
                .with("stored", stored.description())
                .with("program", wanted.description())
        };
        if stored.version > wanted.version {
            return Err(refuse(
                "a restored state has a newer version than the program gives it; run the newer program, or start \
                 fresh",
            ));
        }
        if stored.key_type != wanted.key_type {
            return Err(refuse(
                "a restored state has other keys; give the keys a version and say how to migrate them, go back to the \
                 stored type, give the state another name, or start fresh",
            ));
        }
        self.evolution().migrate.clone().ok_or_else(|| {
            refuse(
                "a restored state has an older version; say in its descriptor how to migrate from it, give the \
                 state another name, or start fresh",
            )
        })
    }
}

impl Conversion {
    /// The value for the program; `None` when it has expired. Of a delta it must not just be left out then, or
    /// an older value of the key would come back.
    ///
    /// # Errors
    /// The first of the program's migration, with the name of the state and both versions; `Corrupted` when
    /// the bytes are no value.
    pub fn convert<'v>(&self, value: &'v [u8]) -> Result<Option<Cow<'v, [u8]>>> {
        let (moments, bare) = self.split(value)?;
        match &self.ttl {
            Some(ttl) if has_expired(&moments, ttl.now()) => Ok(None),
            _ => self.converted(value, &moments, bare).map(Some),
        }
    }

    /// When a value or its items expire, with what is stored of it besides.
    fn split<'v>(&self, value: &'v [u8]) -> Result<(Vec<Timestamp>, &'v [u8])> {
        match &self.ttl {
            Some(ttl) if self.stored == Expiry::Nothing => Ok((vec![ttl.expiry()], value)),
            _ => self.stored.split(value),
        }
    }

    fn converted<'v>(&self, value: &'v [u8], moments: &[Timestamp], bare: &'v [u8]) -> Result<Cow<'v, [u8]>> {
        if !self.changes_values() {
            return Ok(value.into());
        }
        let migrated = self.migrated(bare)?;
        match self.wanted {
            Expiry::Nothing => Ok(migrated),
            expiry => Ok(expiry.join(moments, &migrated)?.into()),
        }
    }

    /// The key for the program. One that becomes another may belong to another subtask.
    ///
    /// # Errors
    /// The first of the program's migration, with the name of the state and the stored version.
    pub fn convert_key<'k>(&self, key: &'k [u8]) -> Result<Cow<'k, [u8]>> {
        let Some((version, migrate)) = &self.migrate_keys else {
            return Ok(key.into());
        };
        let migrated = migrate(*version, key).map_err(|error| {
            error
                .with("state", &self.name)
                .with("stored version of the keys", version)
        })?;
        Ok(migrated.into())
    }

    /// Whether keys become others.
    pub fn changes_keys(&self) -> bool {
        self.migrate_keys.is_some()
    }

    /// Whether values become others. Otherwise some are only left out: the stored ones remain readable, and
    /// a snapshot may build on them.
    pub fn changes_values(&self) -> bool {
        self.migrate.is_some() || self.stored != self.wanted
    }

    fn migrated<'v>(&self, bare: &'v [u8]) -> Result<Cow<'v, [u8]>> {
        let Some((version, migrate)) = &self.migrate else {
            return Ok(bare.into());
        };
        let migrated = migrate(*version, bare).map_err(|error| {
            error
                .with("state", &self.name)
                .with("stored version", version)
                .with("program version", self.wanted_version)
        })?;
        Ok(migrated.into())
    }

    /// Converts the entries of a block whose keys are wanted, and counts them. A delta keeps what has expired.
    pub(crate) fn convert_block(
        &self,
        payload: &Bytes,
        is_delta: bool,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<(u32, Bytes)> {
        let (mut entries, mut converted) = (0, Vec::with_capacity(payload.len()));
        for entry in Entry::iter(payload) {
            let Entry { key, value } = entry?;
            let key = self.convert_key(key)?;
            if !is_wanted(&key) {
                continue;
            }
            let kept = if is_delta {
                let (moments, bare) = self.split(value)?;
                Some(self.converted(value, &moments, bare)?)
            } else {
                self.convert(value)?
            };
            if let Some(value) = kept {
                let entry = Entry {
                    key: &key,
                    value: &value,
                };
                entry.append(&mut converted);
                entries += 1;
            }
        }
        Ok((entries, converted.into()))
    }
}

/// Whether all of these moments are past.
fn has_expired(moments: &[Timestamp], now: Timestamp) -> bool {
    !moments.iter().any(|moment| is_alive(*moment, now))
}

impl TableMeta {
    /// The types and the version in words.
    pub(crate) fn description(&self) -> String {
        format!(
            "{} -> {}, version {}",
            self.key_type, self.value_type, self.version
        )
    }
}

impl fmt::Debug for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversion")
            .field("name", &self.name)
            .field("from", &self.migrate.as_ref().map(|(version, _)| version))
            .field("stored", &self.stored)
            .field("wanted", &self.wanted)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
