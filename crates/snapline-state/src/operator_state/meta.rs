//! What lists and maps are of: the versions and types that a program gives them.

use super::OperatorState;
use crate::conversion::Conversion;
use crate::descriptor::StateDescriptor;
use crate::format::block::TableMeta;
use crate::spec::TableSpec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Error, Key, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a restore deals out what is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperatorStateKind {
    /// A list whose items are split.
    Split,
    /// A list that is given whole to all.
    Union,
    /// A map that all have alike.
    Broadcast,
}

/// By kind and name. Shared with snapshots.
pub(super) type Metas = BTreeMap<(OperatorStateKind, String), Arc<TableMeta>>;

impl OperatorState {
    /// What a list or a map is of, as far as it was [declared](Self::declare). Lists have keys of type `()`.
    pub fn meta(&self, kind: OperatorStateKind, name: &str) -> Option<&Arc<TableMeta>> {
        self.metas.get(&(kind, name.to_owned()))
    }

    /// Says of what version and types a list (with keys `()`) or a map is, and turns what was restored of an older version into
    /// that. What was stored without having been declared counts as version 1 of the same types.
    ///
    /// # Errors
    /// `Invalid` naming the state and both versions when what was restored is of a newer version, of an older one from which
    /// the descriptor does not say how to migrate, or of other types; and for a descriptor with a time to live.
    pub fn declare<K: Key, V: Data>(
        &mut self,
        kind: OperatorStateKind,
        descriptor: &StateDescriptor<V>,
    ) -> Result<()> {
        if descriptor.evolution().ttl.is_some() {
            return Err(Error::invalid(
                "lists and maps of operator state have no time to live; remove what is old, or use state per key",
            )
            .with("state", descriptor.name()));
        }
        let spec = TableSpec::of::<K, V>(descriptor);
        let name = descriptor.name();
        if self.has_any(kind, name) {
            let first = || TableMeta {
                version: 1,
                ..spec.meta().clone()
            };
            let stored = self.meta(kind, name).map_or_else(first, |meta| (**meta).clone());
            if let Some(conversion) = spec.conversion(&stored)? {
                self.convert(kind, name, &conversion)?;
            }
        }
        let meta = Arc::new(spec.meta().clone());
        self.metas.insert((kind, name.to_owned()), meta);
        Ok(())
    }

    pub(super) fn has_any(&self, kind: OperatorStateKind, name: &str) -> bool {
        match kind {
            OperatorStateKind::Split => self.lists.contains_key(name),
            OperatorStateKind::Union => self.unions.contains_key(name),
            OperatorStateKind::Broadcast => self.maps.contains_key(name),
        }
    }

    fn convert(&mut self, kind: OperatorStateKind, name: &str, conversion: &Conversion) -> Result<()> {
        match kind {
            OperatorStateKind::Split => {
                convert_all(self.lists.get_mut(name).into_iter().flatten(), conversion)
            }
            OperatorStateKind::Union => {
                convert_all(self.unions.get_mut(name).into_iter().flatten(), conversion)
            }
            OperatorStateKind::Broadcast => {
                let map = self.maps.get_mut(name).map(Arc::make_mut);
                convert_all(map.into_iter().flat_map(BTreeMap::values_mut), conversion)
            }
        }
    }

    /// What the snapshot of a subtask need say: nothing of what it has no items of.
    pub(super) fn used_metas(&self) -> impl Iterator<Item = (OperatorStateKind, &TableMeta)> {
        let used = self
            .metas
            .iter()
            .filter(|((kind, name), _)| self.has_any(*kind, name));
        used.map(|((kind, _), meta)| (*kind, &**meta))
    }
}

fn convert_all<'a>(values: impl Iterator<Item = &'a mut Bytes>, conversion: &Conversion) -> Result<()> {
    for value in values {
        if let Some(converted) = conversion.convert(value)? {
            *value = converted.into_owned().into();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
