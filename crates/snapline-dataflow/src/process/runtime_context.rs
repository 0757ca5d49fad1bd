//! What a function is told when it is opened.

use crate::context::OperatorContext;
use crate::state::{
    AggregatingState, BroadcastMaps, BroadcastState, ListKind, ListState, Lists, MapState, OperatorListState,
    OperatorLists, OperatorStateContext, ReducingState, ValueState,
};
use snapline_core::{Clock, Data, Error, Key, MaxParallelism, Result, SubtaskIndex};
use snapline_state::{AggregateFunction, EventClock, KeyMigration, StateDescriptor, TableSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a function is told when it is opened, and where it registers its states.
///
/// A state is found again by its name, so no two states of a function may have the same.
pub struct RuntimeContext {
    subtask: SubtaskIndex,
    parallelism: u32,
    max_parallelism: MaxParallelism,
    clock: Arc<dyn Clock>,
    event_clock: Option<Arc<EventClock>>,
    key_migration: Option<KeyMigration>,
    tables: Vec<TableSpec>,
    lists: OperatorLists,
    broadcast: BroadcastMaps,
    mistake: Option<Error>,
}

impl RuntimeContext {
    pub(crate) fn new(context: &OperatorContext) -> Self {
        Self {
            subtask: context.subtask,
            parallelism: context.parallelism,
            max_parallelism: context.max_parallelism,
            clock: context.clock.clone(),
            event_clock: None,
            key_migration: None,
            tables: Vec::new(),
            lists: OperatorLists::restore(&context.restored.operator),
            broadcast: BroadcastMaps::restore(&context.restored.operator),
            mistake: None,
        }
    }

    /// Where operators register what is theirs.
    pub(crate) fn tables(&mut self) -> (&mut Vec<TableSpec>, MaxParallelism) {
        (&mut self.tables, self.max_parallelism)
    }

    /// The tables of the states that were registered.
    pub(crate) fn into_tables(mut self) -> Vec<TableSpec> {
        if let Some(migration) = &self.key_migration {
            self.tables
                .iter_mut()
                .for_each(|table| table.migrate_keys(migration));
        }
        self.tables
    }

    /// The broadcast maps of a function with keys, and a broadcast side if it has any of them.
    ///
    /// # Errors
    /// `Invalid` when what was registered is not what was restored, or for functions of another kind.
    pub(crate) fn take_broadcast(&mut self, side: BroadcastSide) -> Result<BroadcastMaps> {
        self.mistake.take().map_or(Ok(()), Err)?;
        if self.lists.are_wanted() {
            return Err(Error::invalid(
                "lists of operator state are for functions without keys; in a keyed one use .list_state(...)",
            ));
        }
        self.require(side)?;
        Ok(std::mem::take(&mut self.broadcast))
    }

    /// The operator state of a function without keys.
    ///
    /// # Errors
    /// As [`take_broadcast`](Self::take_broadcast).
    pub(crate) fn into_operator_state(
        mut self,
        side: BroadcastSide,
    ) -> Result<(OperatorLists, BroadcastMaps)> {
        self.mistake.take().map_or(Ok(()), Err)?;
        if !self.tables.is_empty() {
            return Err(Error::invalid(
                "a function without keys has no states per key; use .key_by(...) before it, or operator state",
            ));
        }
        self.require(side)?;
        self.lists.begin(self.subtask);
        Ok((self.lists, self.broadcast))
    }

    fn require(&self, side: BroadcastSide) -> Result<()> {
        if side == BroadcastSide::Yes || !self.broadcast.are_wanted() {
            return Ok(());
        }
        Err(Error::invalid(
            "only a function with a broadcast side has broadcast state; connect the stream by .connect_broadcast(...)",
        ))
    }

    /// Which subtask of the operator this is.
    pub fn subtask(&self) -> SubtaskIndex {
        self.subtask
    }

    /// How many subtasks the operator has.
    pub fn parallelism(&self) -> u32 {
        self.parallelism
    }

    /// Where the processing time comes from.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Says that the keys of the stream have this version, and how older ones become keys: of all states and timers
    /// of the function. See [`KeyMigration`] for what it costs.
    pub fn migrate_keys<K: Key>(
        &mut self,
        version: u32,
        migrate: impl Fn(u32, &[u8]) -> Result<K> + Send + Sync + 'static,
    ) {
        self.key_migration = Some(KeyMigration::new(version, migrate));
    }

    /// Says that the keys of the stream have this version, and no checkpoint with older ones is left.
    pub fn key_version(&mut self, version: u32) {
        self.key_migration = Some(KeyMigration::done(version));
    }

    /// Where the event time comes from in which values expire.
    ///
    /// It shows the watermark and the time of the record or timer at hand. While timers fire it shows the time of
    /// each, so that what they find does not depend on how far the watermark went at once.
    ///
    /// ```
    /// # use snapline_dataflow::{RuntimeContext, ValueState};
    /// # use snapline_state::{StateDescriptor, StateTtl};
    /// # use std::time::Duration;
    /// fn last_order(context: &mut RuntimeContext) -> ValueState<String, u64> {
    ///     let ttl = StateTtl::new(Duration::from_secs(24 * 60 * 60));
    ///     let clock = context.event_clock();
    ///     context.value_state(StateDescriptor::new("last-order").event_time_to_live(ttl, clock))
    /// }
    /// ```
    pub fn event_clock(&mut self) -> Arc<EventClock> {
        self.event_clock.get_or_insert_default().clone()
    }

    /// The clock that somebody has asked for.
    pub(crate) fn wanted_event_clock(&self) -> Option<Arc<EventClock>> {
        self.event_clock.clone()
    }

    /// Registers one value per key.
    pub fn value_state<K: Key, V: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<V>>,
    ) -> ValueState<K, V> {
        snapline_state::ValueState::register(descriptor, &mut self.tables, self.max_parallelism).into()
    }

    /// Registers a list per key.
    pub fn list_state<K: Key, T: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<Vec<T>>>,
    ) -> ListState<K, T> {
        snapline_state::ListState::register(descriptor, &mut self.tables, self.max_parallelism).into()
    }

    /// Registers a map per key.
    pub fn map_state<K: Key, MK: Key + Ord, MV: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<BTreeMap<MK, MV>>>,
    ) -> MapState<K, MK, MV> {
        snapline_state::MapState::register(descriptor, &mut self.tables, self.max_parallelism).into()
    }

    /// Registers one value per key into which others are combined.
    pub fn reducing_state<K: Key, V: Data, F: FnMut(&mut V, V)>(
        &mut self,
        descriptor: impl Into<StateDescriptor<V>>,
        combine: F,
    ) -> ReducingState<K, V, F> {
        snapline_state::ReducingState::register(descriptor, &mut self.tables, self.max_parallelism, combine)
            .into()
    }

    /// Registers one accumulator per key.
    pub fn aggregating_state<K: Key, A: AggregateFunction>(
        &mut self,
        descriptor: impl Into<StateDescriptor<A::Accumulator>>,
        function: A,
    ) -> AggregatingState<K, A> {
        snapline_state::AggregatingState::register(
            descriptor,
            &mut self.tables,
            self.max_parallelism,
            function,
        )
        .into()
    }

    /// Registers a map that all subtasks have alike, of a function with a broadcast side. Its descriptor may say of which
    /// version the values are, and how older ones become values.
    pub fn broadcast_state<K: Key + Ord, V: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<V>>,
    ) -> BroadcastState<K, V> {
        let registered = self.broadcast.register(&descriptor.into());
        self.or_mistake(registered)
    }

    /// Registers a list of a function without keys, whose items a restore at another parallelism deals out evenly, in their
    /// order: each is found in one subtask. At the same parallelism each subtask finds its own. The descriptor may say of
    /// which version the items are, and how older ones become items.
    pub fn operator_list_state<T: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<T>>,
    ) -> OperatorListState<T> {
        let registered = self.lists.register(&descriptor.into(), ListKind::Split);
        self.or_mistake(registered)
    }

    /// Registers a list of a function without keys that a restore gives whole to all subtasks, at the same parallelism too:
    /// each finds the items of all, those of the first subtask first. What is not its own a subtask has to leave out of the
    /// next snapshot ([`OperatorListState::update`]), or the list grows.
    pub fn operator_union_list_state<T: Data>(
        &mut self,
        descriptor: impl Into<StateDescriptor<T>>,
    ) -> OperatorListState<T> {
        let registered = self.lists.register(&descriptor.into(), ListKind::Union);
        self.or_mistake(registered)
    }

    /// A placeholder in place of a state that could not be registered; the function does not start.
    fn or_mistake<S: Default>(&mut self, registered: Result<S>) -> S {
        registered.unwrap_or_else(|mistake| {
            self.mistake.get_or_insert(mistake);
            S::default()
        })
    }
}

impl OperatorStateContext for RuntimeContext {}

impl Lists for RuntimeContext {
    fn lists(&mut self) -> &mut OperatorLists {
        &mut self.lists
    }
}

/// Whether a function is told broadcast records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BroadcastSide {
    Yes,
    No,
}

impl fmt::Debug for RuntimeContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeContext")
            .field("subtask", &self.subtask)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
