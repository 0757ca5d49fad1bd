//! The backend that is checked, and the few calls through which all cases reach it.

use super::shelf::Shelf;
use futures::executor::block_on;
use futures::future::{join, join_all, poll_fn};
use snapline_core::{
    CheckpointId, Codec, Data, Key, KeyGroupRange, MaxParallelism, OperatorUid, Result, StableHasher,
    SubtaskIndex,
};
use snapline_state::{
    KeyedStateBackend, Snapshot, SnapshotTarget, StateBackend, StateContext, StateHandle, StorageKey,
    TableMut, TableSpec, ValueState,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// A backend that is to be checked, with a storage of its own for snapshots.
#[derive(Debug, Clone)]
pub struct Subject {
    backend: Arc<dyn StateBackend>,
    pub(super) shelf: Arc<Shelf>,
    snapshots: Arc<AtomicU64>,
}

/// The live state of one subtask.
pub(super) type Keyed = Box<dyn KeyedStateBackend>;

impl<B: StateBackend> From<B> for Subject {
    fn from(backend: B) -> Self {
        Self {
            backend: Arc::new(backend),
            shelf: Arc::new(Shelf::default()),
            snapshots: Arc::default(),
        }
    }
}

impl Subject {
    /// Opens the state of the only subtask.
    pub(super) fn open(&self, program: &Program, restore: &[StateHandle]) -> Keyed {
        self.open_range(program, max().full_range(), restore).unwrap()
    }

    /// Opens the state of the only subtask from a checkpoint that later snapshots may build on.
    pub(super) fn open_on(&self, program: &Program, restore: &[StateHandle], base: CheckpointId) -> Keyed {
        self.open_with(program, max().full_range(), restore, Some(base))
            .unwrap()
    }

    pub(super) fn open_range(
        &self,
        program: &Program,
        key_groups: KeyGroupRange,
        restore: &[StateHandle],
    ) -> Result<Keyed> {
        self.open_with(program, key_groups, restore, None)
    }

    pub(super) fn open_with(
        &self,
        program: &Program,
        key_groups: KeyGroupRange,
        restore: &[StateHandle],
        base: Option<CheckpointId>,
    ) -> Result<Keyed> {
        block_on(self.backend.open(StateContext {
            operator: OperatorUid::new(OPERATOR)?,
            subtask: SubtaskIndex(0),
            max_parallelism: max(),
            key_groups,
            tables: program.tables.clone(),
            restore: restore.to_vec(),
            base,
            storage: self.shelf.clone(),
        }))
    }

    /// Where the next snapshot goes. Snapshots are compressed and not compressed in turns.
    pub(super) fn target(&self) -> SnapshotTarget {
        let number = self.snapshots.fetch_add(1, Ordering::SeqCst);
        let key = StorageKey::new(format!("snapshot-{number}")).unwrap();
        let codec = if number.is_multiple_of(2) {
            Codec::Lz4
        } else {
            Codec::None
        };
        SnapshotTarget::new(self.shelf.clone(), key).compressed_by(codec)
    }

    /// Takes a snapshot and persists it at once.
    pub(super) fn snapshot(&self, state: &mut Keyed) -> Vec<StateHandle> {
        let snapshot = freeze(state);
        self.persist(state, snapshot).unwrap()
    }

    /// Takes a snapshot that may build on an earlier one and persists it at once.
    pub(super) fn snapshot_on(
        &self,
        state: &mut Keyed,
        checkpoint: CheckpointId,
        base: Option<CheckpointId>,
    ) -> Vec<StateHandle> {
        let snapshot = state.freeze(checkpoint, base).unwrap();
        self.persist(state, snapshot).unwrap()
    }

    pub(super) fn persist(&self, state: &mut Keyed, snapshot: Box<dyn Snapshot>) -> Result<Vec<StateHandle>> {
        let mut persisted = self.persist_all(state, vec![snapshot]);
        persisted.pop().unwrap()
    }

    /// Persists snapshots side by side, as a task would that has nothing else to do.
    pub(super) fn persist_all(
        &self,
        state: &mut Keyed,
        snapshots: Vec<Box<dyn Snapshot>>,
    ) -> Vec<Result<Vec<StateHandle>>> {
        let persists = snapshots.into_iter().map(|snapshot| {
            let target = self.target();
            async move { snapshot.persist(&target).await }
        });
        let advance = poll_fn(|cx| state.poll_advance(cx));
        let (persisted, advanced) = block_on(join(join_all(persists), advance));
        if persisted.iter().all(Result::is_ok) {
            advanced.expect("every snapshot was persisted");
        }
        persisted
    }

    /// Persists a snapshot while the task goes on: `step` is called between the polls, with a number
    /// that counts up, as long as it says so.
    pub(super) fn persist_while(
        &self,
        state: &mut Keyed,
        snapshot: Box<dyn Snapshot>,
        mut step: impl FnMut(&mut Keyed, u64),
    ) -> Vec<StateHandle> {
        let target = self.target();
        let mut persist = snapshot.persist(&target);
        let mut steps = 0..STEPS;
        let persisted = block_on(poll_fn(|cx| {
            if let Poll::Ready(persisted) = persist.as_mut().poll(cx) {
                return Poll::Ready(persisted);
            }
            if let Poll::Ready(Err(error)) = state.poll_advance(cx) {
                panic!("the running snapshot failed: {error}");
            }
            if let Some(number) = steps.next() {
                step(state, number);
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }));
        steps.for_each(|number| step(state, number));
        persisted.unwrap()
    }
}

/// How many key groups there are.
pub(super) fn max() -> MaxParallelism {
    MaxParallelism::new(10).unwrap()
}

pub(super) const OPERATOR: &str = "the-operator";

/// How often [`Subject::persist_while`] calls its step.
pub(super) const STEPS: u64 = 40;

pub(super) fn freeze(state: &mut Keyed) -> Box<dyn Snapshot> {
    state.freeze(CheckpointId(1), None).unwrap()
}

/// The states that an operator wants.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) tables: Vec<TableSpec>,
}

impl Program {
    pub(super) fn state<K: Key + Ord, V: Data>(&mut self, name: &str) -> State<K, V> {
        State(ValueState::register(name, &mut self.tables, max()))
    }
}

/// A program with one state.
pub(super) fn one_state<K: Key + Ord, V: Data>() -> (Program, State<K, V>) {
    let mut program = Program::default();
    let state = program.state("counts");
    (program, state)
}

/// A value state with the calls that cases make.
#[derive(Debug)]
pub(super) struct State<K, V>(ValueState<K, V>);

impl<K: Key + Ord, V: Data> State<K, V> {
    pub(super) fn table<'a>(&self, state: &'a mut Keyed) -> TableMut<'a, K, V> {
        self.0.table(&mut **state).unwrap()
    }

    pub(super) fn get(&self, state: &mut Keyed, key: &K) -> Option<V> {
        self.0.value(&mut **state, hash(key), key).unwrap()
    }

    pub(super) fn set(&self, state: &mut Keyed, key: K, value: V) {
        self.0.update(&mut **state, hash(&key), key, value).unwrap();
    }

    pub(super) fn clear(&self, state: &mut Keyed, key: &K) {
        self.0.clear(&mut **state, hash(key), key).unwrap();
    }

    pub(super) fn fill(&self, state: &mut Keyed, entries: impl IntoIterator<Item = (K, V)>) {
        entries
            .into_iter()
            .for_each(|(key, value)| self.set(state, key, value));
    }

    /// All entries, each of which a scan has to visit once.
    pub(super) fn content(&self, state: &mut Keyed) -> BTreeMap<K, V> {
        self.try_content(state).unwrap()
    }

    pub(super) fn try_content(&self, state: &mut Keyed) -> Result<BTreeMap<K, V>> {
        let mut content = BTreeMap::new();
        let mut twice = false;
        self.table(state).scan(&mut |key, value| {
            twice |= content.insert(key.clone(), value.clone()).is_some();
            Ok(())
        })?;
        assert!(!twice, "a scan visits a key twice");
        Ok(content)
    }
}

pub(super) fn hash<K: Key>(key: &K) -> u64 {
    StableHasher::new().hash(key).unwrap()
}
