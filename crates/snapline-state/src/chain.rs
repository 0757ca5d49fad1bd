//! Snapshots that later ones build on.

use crate::backend::StateContext;
use crate::handle::{HandleKind, StateHandle};
use snapline_core::CheckpointId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A chain with so many deltas is not made longer: each of them is read after a failure.
const MOST_DELTAS: usize = 24;

/// The snapshots of one subtask that were stored, shared with those that are being stored.
///
/// A backend that stores deltas asks it on which snapshot the next one is to build, and lets each snapshot that
/// is stored tell it so. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct SnapshotChains(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    chains: BTreeMap<CheckpointId, SnapshotChain>,
    /// How long the next delta will be, in bytes, going by those before.
    expected: u64,
}

/// A stored snapshot: a full file and the deltas that follow it.
#[derive(Debug, Clone, Default)]
pub struct SnapshotChain {
    /// The number that the backend gave to the freeze of the snapshot; 0 is what it was restored from.
    pub freeze: u64,
    /// The files that the snapshot consists of.
    pub handles: Vec<StateHandle>,
}

impl SnapshotChains {
    /// Knows the checkpoint that was restored, if all of its files are of this subtask alone.
    pub fn restored(context: &StateContext) -> Self {
        let own = context.key_groups;
        let is_own = |handle: &StateHandle| {
            handle
                .key_groups
                .is_some_and(|groups| groups.intersection(own) == groups)
        };
        let chains = Self::default();
        if let Some(base) = context.base.filter(|_| context.restore.iter().all(is_own)) {
            let handles = context.restore.clone();
            chains.insert(base, SnapshotChain { freeze: 0, handles });
        }
        chains
    }

    /// A snapshot is stored.
    pub fn insert(&self, checkpoint: CheckpointId, chain: SnapshotChain) {
        let mut known = self.known();
        if let Some(delta) = chain.handles.last().filter(|last| last.kind == HandleKind::Delta) {
            known.expected = delta.len;
        }
        known.chains.insert(checkpoint, chain);
    }

    /// The snapshot of a checkpoint. Those before it are forgotten.
    pub fn of(&self, checkpoint: CheckpointId) -> Option<SnapshotChain> {
        let mut known = self.known();
        known.chains.retain(|id, _| *id >= checkpoint);
        known.chains.get(&checkpoint).cloned()
    }

    /// The snapshot on which the next one is to build, if it is [worth it](SnapshotChain::may_grow), going by the
    /// deltas before. Those before it are forgotten.
    pub fn base(&self, checkpoint: CheckpointId) -> Option<SnapshotChain> {
        let chain = self.of(checkpoint)?;
        let mut known = self.known();
        if chain.may_grow(known.expected) {
            return Some(chain);
        }
        // By and by a delta is tried again: it may have become shorter.
        known.expected /= 2;
        None
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotChain {
    /// How many bytes the full snapshot has, with which the chain begins.
    pub fn full_bytes(&self) -> u64 {
        let full = self
            .handles
            .iter()
            .filter(|handle| handle.kind != HandleKind::Delta);
        full.map(|handle| handle.len).sum()
    }

    /// Whether a delta of about so many bytes is worth it.
    ///
    /// Deltas add up to a quarter of the full snapshot at the most, so that reading them after a failure does not
    /// take long; then comes a full one, which is what compacts the chain.
    pub fn may_grow(&self, expected: u64) -> bool {
        let deltas = self
            .handles
            .iter()
            .filter(|handle| handle.kind == HandleKind::Delta);
        let (count, bytes) = deltas.fold((0, 0), |(count, bytes), delta| (count + 1, bytes + delta.len));
        count < MOST_DELTAS && (bytes + expected) * 4 <= self.full_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(kind: HandleKind, len: u64) -> StateHandle {
        StateHandle {
            len,
            ..StateHandle::inline(Default::default(), kind, None)
        }
    }

    fn chain(full: u64, deltas: &[u64]) -> SnapshotChain {
        let deltas = deltas.iter().map(|len| handle(HandleKind::Delta, *len));
        SnapshotChain {
            freeze: 1,
            handles: std::iter::once(handle(HandleKind::Full, full))
                .chain(deltas)
                .collect(),
        }
    }

    #[test]
    fn a_chain_grows_until_its_deltas_are_a_quarter_of_the_full_snapshot() {
        for (full, deltas, expected, grows) in [
            (1000, &[][..], 0, true),
            (1000, &[200, 50], 0, true),
            (1000, &[200, 51], 0, false),
            (1000, &[200], 51, false),
            (1_000_000, &[1; MOST_DELTAS], 0, false),
            (0, &[1], 0, false),
        ] {
            assert_eq!(
                chain(full, deltas).may_grow(expected),
                grows,
                "{full} {deltas:?} {expected}"
            );
        }
    }

    #[test]
    fn long_deltas_are_not_tried_for_a_while() {
        let chains = SnapshotChains::default();
        chains.insert(CheckpointId(1), chain(1000, &[900]));
        assert!(chains.base(CheckpointId(1)).is_none());
        let tries = (2..).find(|id| {
            chains.insert(CheckpointId(*id), chain(1000, &[]));
            chains.base(CheckpointId(*id)).is_some()
        });
        assert_eq!(tries, Some(3));
        assert!(chains.base(CheckpointId(1)).is_none(), "it is forgotten");
    }
}
