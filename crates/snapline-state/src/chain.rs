//! Snapshots that later ones build on.

use crate::backend::StateContext;
use crate::handle::{HandleKind, StateHandle};
use snapline_core::CheckpointId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A chain with so many deltas is not made longer: each of them is read after a failure.
const MOST_DELTAS: usize = 24;

/// So many deltas of about the same length become one, where a backend can do that.
const MERGED_DELTAS: usize = 8;

/// A delta that is so many times as long as the next will be is not of about the same length.
const ABOUT: u64 = 4;

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
    /// For each file the freeze after which it was stored, if it is known.
    freezes: Vec<Option<u64>>,
    /// Whether the last file has what others had.
    is_merged: bool,
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
            chains.insert(base, SnapshotChain::new(0, context.restore.clone()));
        }
        chains
    }

    /// A snapshot is stored.
    pub fn insert(&self, checkpoint: CheckpointId, chain: SnapshotChain) {
        let mut known = self.known();
        let delta = chain.handles.last().filter(|last| last.kind == HandleKind::Delta);
        if let Some(delta) = delta.filter(|_| !chain.is_merged) {
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
        self.grown(checkpoint, |chain, _| chain)
    }

    /// The same for a backend that still has all changes after some freeze: when there are many deltas, the last of them
    /// are left out of the chain, so that the next one has what they have and takes their place.
    ///
    /// So a chain grows until its deltas are long, and not only until there are many, and what a snapshot stores follows from
    /// what has changed also where that is little.
    pub fn base_of_all_since(&self, checkpoint: CheckpointId, freeze: u64) -> Option<SnapshotChain> {
        self.grown(checkpoint, |chain, expected| chain.merging(expected, freeze))
    }

    fn grown(
        &self,
        checkpoint: CheckpointId,
        merging: impl FnOnce(SnapshotChain, u64) -> SnapshotChain,
    ) -> Option<SnapshotChain> {
        let chain = self.of(checkpoint)?;
        let mut known = self.known();
        if chain.has_room(known.expected) {
            let chain = merging(chain, known.expected);
            if chain.may_grow(0) {
                return Some(chain);
            }
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
    /// A snapshot of this freeze that consists of these files.
    pub fn new(freeze: u64, handles: Vec<StateHandle>) -> Self {
        let mut freezes = vec![None; handles.len()];
        if let Some(last) = freezes.last_mut() {
            *last = Some(freeze);
        }
        Self {
            freeze,
            handles,
            freezes,
            is_merged: false,
        }
    }

    /// The snapshot of a later freeze, with one more file if there is something to store.
    #[must_use]
    pub fn followed_by(mut self, freeze: u64, handle: Option<StateHandle>) -> Self {
        self.freeze = freeze;
        if let Some(handle) = handle {
            self.handles.push(handle);
            self.freezes.push(Some(freeze));
        }
        self
    }

    /// Of the freezes after one of which changes are needed, to be able to merge deltas, the first.
    pub fn first_freeze(&self) -> u64 {
        self.freezes
            .iter()
            .flatten()
            .min()
            .copied()
            .unwrap_or(self.freeze)
    }

    /// Without the deltas that are to be merged with the next one, all changes after `since` being there.
    fn merging(mut self, expected: u64, since: u64) -> Self {
        self.is_merged = false;
        let is_delta = |handle: &&StateHandle| handle.kind == HandleKind::Delta;
        let deltas = self.handles.iter().rev().take_while(is_delta).count();
        let is_alike =
            |handle: &&StateHandle| is_delta(handle) && handle.len <= expected.saturating_mul(ABOUT);
        let alike = self.handles.iter().rev().take_while(is_alike).count();
        if alike < MERGED_DELTAS {
            return self;
        }
        let merged = match deltas - alike >= MERGED_DELTAS {
            true => deltas,
            false => alike,
        };
        let len = self.handles.len();
        let is_there = |end: &usize| {
            let freeze = end.checked_sub(1).and_then(|last| self.freezes[last]);
            freeze.is_some_and(|freeze| freeze >= since)
        };
        match (len - merged..=len - MERGED_DELTAS).find(is_there) {
            Some(end) => self.cut(end),
            None => self,
        }
    }

    fn cut(mut self, end: usize) -> Self {
        self.handles.truncate(end);
        self.freezes.truncate(end);
        self.freeze = self.freezes.last().copied().flatten().unwrap_or(self.freeze);
        self.is_merged = true;
        self
    }

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
        deltas.count() < MOST_DELTAS && self.has_room(expected)
    }

    /// Whether it is with a delta of about so many bytes, however many there are.
    fn has_room(&self, expected: u64) -> bool {
        let deltas = self
            .handles
            .iter()
            .filter(|handle| handle.kind == HandleKind::Delta);
        let bytes: u64 = deltas.map(|delta| delta.len).sum();
        (bytes + expected) * 4 <= self.full_bytes()
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
        let full = std::iter::once(handle(HandleKind::Full, full));
        SnapshotChain::new(1, full.chain(deltas).collect())
    }

    /// Lets snapshots of this length build on each other; the lengths of the files of each.
    fn grow(chains: &SnapshotChains, full: u64, delta: u64, count: u64) -> Vec<Vec<u64>> {
        chains.insert(
            CheckpointId(0),
            SnapshotChain::new(0, vec![handle(HandleKind::Full, full)]),
        );
        let one = |freeze: u64| {
            let base = chains.base_of_all_since(CheckpointId(freeze - 1), 0);
            let chain = match base {
                Some(base) => {
                    let len = (freeze - base.freeze) * delta;
                    base.followed_by(freeze, Some(handle(HandleKind::Delta, len)))
                }
                None => SnapshotChain::new(freeze, vec![handle(HandleKind::Full, full)]),
            };
            let lengths = chain.handles.iter().map(|handle| handle.len).collect();
            chains.insert(CheckpointId(freeze), chain);
            lengths
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn many_short_deltas_become_few_and_what_is_stored_follows_from_what_has_changed() {
        let grown = grow(&SnapshotChains::default(), 1_000_000, 1_000, 1_000);
        let stored: u64 = grown.iter().filter_map(|lengths| lengths.last()).sum();
        let fulls = grown.iter().filter(|lengths| lengths.len() == 1).count();
        assert_eq!(fulls, 3, "one for each quarter of the state");
        assert!(stored < 9 * 1_000 * 1_000, "{stored}");
        assert!(grown.iter().all(|lengths| lengths.len() <= 2 * MERGED_DELTAS + 1));
        let covered = |lengths: &Vec<u64>| lengths.iter().skip(1).sum::<u64>();
        assert_eq!(
            covered(&grown[199]),
            200_000,
            "nothing is left out or stored twice"
        );
    }

    #[test]
    fn deltas_from_before_a_restart_are_not_merged() {
        let chains = SnapshotChains::default();
        let before = chain(1_000_000, &[1; 12]);
        chains.insert(CheckpointId(1), SnapshotChain::new(0, before.handles));
        for freeze in 1..=MERGED_DELTAS as u64 {
            let base = chains.base_of_all_since(CheckpointId(freeze), 0).unwrap();
            assert_eq!(base.handles.len() as u64, 12 + freeze);
            let next = base.followed_by(freeze, Some(handle(HandleKind::Delta, 1)));
            chains.insert(CheckpointId(freeze + 1), next);
        }
        let base = chains.base_of_all_since(CheckpointId(MERGED_DELTAS as u64 + 1), 0);
        assert_eq!(base.map(|base| (base.freeze, base.handles.len())), Some((0, 13)));
    }

    #[test]
    fn what_is_not_kept_any_more_is_not_merged() {
        let chains = SnapshotChains::default();
        grow(&chains, 1_000_000, 10, MERGED_DELTAS as u64);
        let last = CheckpointId(MERGED_DELTAS as u64);
        let merged = chains.base_of_all_since(last, 0).unwrap();
        assert_eq!((merged.freeze, merged.handles.len()), (0, 1));
        let base = chains.base_of_all_since(last, 1).unwrap();
        assert_eq!(base.freeze, MERGED_DELTAS as u64);
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
