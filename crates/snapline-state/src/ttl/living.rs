//! What a full snapshot leaves out.

use super::{Expiry, Ttl, is_alive};
use crate::format::block::Entry;
use crate::spec::TableSpec;
use snapline_core::Result;
use std::borrow::Cow;

/// Tells which entries of a table live, where values or items expire.
#[derive(Debug, Clone)]
pub struct Living {
    expiry: Expiry,
    ttl: Ttl,
}

impl TableSpec {
    /// Which entries of the table live; `None` when nothing in it expires.
    ///
    /// A full snapshot need not have the others, see [`BlockWriter::leaving_out`](crate::BlockWriter::leaving_out).
    /// A snapshot of what has changed has to have them, or an older value of the key would come back.
    pub fn living(&self) -> Option<Living> {
        let ttl = self.evolution().ttl.clone()?;
        let expiry = self.evolution().expiry;
        Some(Living { expiry, ttl })
    }
}

impl Living {
    /// Whether something of an encoded value has not expired.
    ///
    /// # Errors
    /// `Corrupted` when it is no value of the table.
    pub fn is_alive(&self, value: &[u8]) -> Result<bool> {
        let now = self.ttl.now();
        let (moments, _) = self.expiry.split(value)?;
        Ok(moments.iter().any(|moment| is_alive(*moment, now)))
    }

    /// Those of some encoded entries that live, and how many they are.
    pub(crate) fn of<'p>(&self, entries: u32, payload: &'p [u8]) -> Result<(u32, Cow<'p, [u8]>)> {
        let mut dead = 0;
        for entry in Entry::iter(payload) {
            dead += u32::from(!self.is_alive(entry?.value)?);
        }
        if dead == 0 {
            return Ok((entries, payload.into()));
        }
        let mut living = Vec::with_capacity(payload.len());
        for entry in Entry::iter(payload) {
            let entry = entry?;
            if self.is_alive(entry.value)? {
                entry.append(&mut living);
            }
        }
        Ok((entries - dead, living.into()))
    }
}
