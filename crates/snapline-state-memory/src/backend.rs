//! Live values in hash tables.

mod draining;
mod unclaimed;

use async_trait::async_trait;
use draining::{Draining, MemorySnapshot, Scope};
use snapline_core::{CheckpointId, Error, KeyGroupRange, Result};
use snapline_state::{
    BlockWriter, KeyedStateBackend, LiveTable, Living, Snapshot, SnapshotChain, SnapshotChains, StateBackend,
    StateContext, TableId, TableMeta, TableRef, TableSpec, block_channel,
};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll};
use unclaimed::{Gathering, UnclaimedTable};

/// Keeps state as live values in the memory of the process.
///
/// A freeze takes constant time. The entries are then copied a few thousand at a time in
/// [`KeyedStateBackend::poll_advance`], and encoded where the snapshot is stored; an entry that changes before its turn
/// is copied when it changes. Entries that own memory, or are long, are encoded at once in place of copied.
///
/// A snapshot holds what has changed since the checkpoint before, as long as such deltas are short in comparison
/// with the full snapshot that they build on, see [`MemoryStateBackend::full_snapshots`].
///
/// A freeze that comes while the one before is still being encoded first encodes what is left of it,
/// so the task stalls for as long as that takes; [`KeyedStateBackend::poll_advance`] until `Ready`
/// before the next freeze to avoid it.
///
/// ```
/// use futures::executor::block_on;
/// use snapline_core::{CheckpointId, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex};
/// use snapline_state::{KeyedStateBackend, StateBackend, StateContext, ValueState};
/// use snapline_state_memory::{MemoryCheckpointStorage, MemoryStateBackend};
/// use std::sync::Arc;
///
/// let max = MaxParallelism::DEFAULT;
/// let mut tables = Vec::new();
/// let counts = ValueState::<String, u64>::register("counts", &mut tables, max);
/// let context = StateContext {
///     operator: OperatorUid::new("count")?,
///     subtask: SubtaskIndex(0),
///     max_parallelism: max,
///     key_groups: max.full_range(),
///     tables,
///     restore: Vec::new(),
///     base: None,
///     storage: Arc::new(MemoryCheckpointStorage::new()),
/// };
/// let mut state = block_on(MemoryStateBackend::new().open(context))?;
///
/// let key = "word".to_owned();
/// let hash = StableHasher::new().hash(&key)?;
/// counts.update(&mut *state, hash, key.clone(), 1)?;
/// let _snapshot = state.freeze(CheckpointId(1), None)?;
/// counts.update(&mut *state, hash, key.clone(), 2)?;
/// assert_eq!(counts.value(&mut *state, hash, &key)?, Some(2));
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryStateBackend {
    always_full: bool,
}

impl MemoryStateBackend {
    /// The backend, with snapshots of what has changed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets each snapshot hold all of the state: a few nanoseconds less for each update, and all of it to be
    /// stored each time.
    #[must_use]
    pub const fn full_snapshots(self) -> Self {
        Self { always_full: true }
    }
}

#[async_trait]
impl StateBackend for MemoryStateBackend {
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        let live = |spec: &TableSpec| Table {
            meta: spec.meta().clone(),
            live: spec.live(context.max_parallelism),
        };
        let mut tables: Vec<Table> = context.tables.iter().map(live).collect();
        let mut gathering = Gathering::new(context.max_parallelism);
        let threads = restore_threads(&context);
        let mut is_migrated = false;
        let metas = context
            .restore_tables(&mut |stored| {
                is_migrated |= stored.is_migrated();
                let index = usize::from(stored.table().0);
                match tables.get_mut(index) {
                    Some(table) => table.live.load(&stored, threads),
                    None => gathering.take(index - context.tables.len(), &stored),
                }
            })
            .await?;
        let mut chains = SnapshotChains::default();
        if !self.always_full {
            tables.iter_mut().for_each(|table| table.live.track());
            // What is migrated has to be stored anew.
            if !is_migrated {
                chains = SnapshotChains::restored(&context);
            }
        }
        Ok(Box::new(MemoryKeyedState {
            living: context.tables.iter().map(TableSpec::living).collect(),
            tables,
            chains,
            unclaimed: gathering.finish(metas),
            key_groups: context.key_groups,
            draining: None,
        }))
    }
}

/// How many threads may restore a subtask: its share of the cores, since the others restore at the same time.
fn restore_threads(context: &StateContext) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (own, all) = (context.key_groups.len(), context.max_parallelism.get());
    let share = (cores as u64 * u64::from(own)).div_ceil(u64::from(all));
    usize::try_from(share)
        .ok()
        .and_then(NonZeroUsize::new)
        .unwrap_or(NonZeroUsize::MIN)
}

/// The state of one subtask.
#[derive(Debug)]
struct MemoryKeyedState {
    tables: Vec<Table>,
    /// By table, what a full snapshot need have.
    living: Arc<[Option<Living>]>,
    unclaimed: Vec<UnclaimedTable>,
    chains: SnapshotChains,
    key_groups: KeyGroupRange,
    draining: Option<Draining>,
}

struct Table {
    meta: TableMeta,
    live: Box<dyn LiveTable>,
}

impl MemoryKeyedState {
    fn is_empty(&self) -> bool {
        self.unclaimed.is_empty() && self.tables.iter().all(|table| table.live.is_empty())
    }

    /// The snapshot to build on, if that is possible and worth it.
    fn base(&self, checkpoint: CheckpointId) -> Option<SnapshotChain> {
        let base = self.chains.of(checkpoint)?;
        let mut tables = self.tables.iter();
        let is_possible = tables.all(|table| table.live.knows_changes_since(base.freeze));
        let is_worth_it = || base.may_grow(self.expected(&base));
        (is_possible && is_worth_it()).then_some(base)
    }

    /// About how many bytes have changed since a snapshot.
    fn expected(&self, base: &SnapshotChain) -> u64 {
        let tables = self.tables.iter().map(|table| &table.live);
        let (changed, all) = tables.fold((0.0, 0.0), |(changed, all), table| {
            let len = table.len() as f64;
            (changed + len * table.changed_share(base.freeze), all + len)
        });
        (base.full_bytes() as f64 * changed / f64::max(all, 1.0)) as u64
    }

    /// Freezes all tables; their freezes have the same number.
    fn freeze_tables(&mut self, base: Option<&SnapshotChain>) -> (u64, Scope) {
        let tables = self.tables.iter_mut();
        match base {
            Some(base) => {
                let numbers = tables.map(|table| table.live.freeze_changes(base.freeze));
                (numbers.max().unwrap_or(0), Scope::Changes)
            }
            None => (
                tables.map(|table| table.live.freeze()).max().unwrap_or(0),
                Scope::All,
            ),
        }
    }

    fn thaw(&mut self) {
        self.tables.iter_mut().for_each(|table| table.live.thaw());
    }

    /// Encodes a little more of the running snapshot; `true` when nothing is left to do for it. When
    /// it fails, the snapshot is told as well.
    fn advance(&mut self, mut draining: Draining) -> Result<bool> {
        if draining.is_abandoned() {
            self.thaw();
            return Ok(true);
        }
        match draining.step(&mut self.tables, &self.unclaimed) {
            Ok(true) => {
                draining.finish();
                Ok(true)
            }
            Ok(false) => {
                self.draining = Some(draining);
                Ok(false)
            }
            Err(error) => {
                self.thaw();
                draining.fail(Error::new(error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Encodes all that is left of the running snapshot. That it may fail is the snapshot's affair.
    fn finish_running(&mut self) {
        while let Some(draining) = self.draining.take() {
            let _ = self.advance(draining);
        }
    }
}

impl KeyedStateBackend for MemoryKeyedState {
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>> {
        let found = self.tables.get_mut(usize::from(table.0));
        found
            .map(|table| TableRef::Live(&mut *table.live))
            .ok_or_else(|| Error::internal("there is no such state table").with("table", table.0))
    }

    fn freeze(&mut self, checkpoint: CheckpointId, base: Option<CheckpointId>) -> Result<Box<dyn Snapshot>> {
        self.finish_running();
        let base = base.and_then(|base| self.base(base));
        let (freeze, scope) = self.freeze_tables(base.as_ref());
        let snapshot = MemorySnapshot::new(checkpoint, freeze, self.chains.clone());
        if self.is_empty() {
            self.thaw();
            return Ok(Box::new(snapshot));
        }
        let (sender, receiver) = block_channel();
        let writer = match scope {
            Scope::All => BlockWriter::new(sender).leaving_out(self.living.clone()),
            Scope::Changes => BlockWriter::new(sender),
        };
        let draining = Draining::new(writer, scope);
        let snapshot = snapshot.of_blocks(receiver, self.key_groups, draining.written(), base);
        self.draining = Some(draining);
        Ok(Box::new(snapshot))
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(draining) = self.draining.take() else {
            return Poll::Ready(Ok(()));
        };
        if draining.poll_room(cx).is_pending() {
            self.draining = Some(draining);
            return Poll::Pending;
        }
        match self.advance(draining) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} entries)", self.meta.name, self.live.len())
    }
}

#[cfg(test)]
mod tests;
