//! Functions of the user that keep state per key.

mod co_process;
mod context;

pub use co_process::KeyedCoProcessFunction;
pub(crate) use co_process::OfEither;
pub use context::{ProcessContext, TimeDomain};

use crate::context::OperatorContext;
use crate::operator::collector::Collector;
use crate::state::{AggregatingState, ListState, MapState, ReducingState, ValueState};
use snapline_core::{Clock, Data, Key, MaxParallelism, Result, SubtaskIndex, Timestamp};
use snapline_state::{AggregateFunction, EventClock, KeyMigration, StateDescriptor, TableSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A function over the records of a keyed stream, with state per key that survives failures.
///
/// Each subtask has a clone of its own, on which [`open`](Self::open) is called first, once. After a
/// failure the subtask begins with another clone: what is to survive has to be in states.
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{Collector, KeyedProcessFunction, ProcessContext, RuntimeContext, ValueState};
///
/// /// Tells who has logged in for the third time.
/// #[derive(Clone, Default)]
/// struct ThirdLogin {
///     logins: ValueState<String, u32>,
/// }
///
/// impl KeyedProcessFunction<String, String> for ThirdLogin {
///     type Output = String;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.logins = context.value_state("logins");
///         Ok(())
///     }
///
///     fn process_element(
///         &mut self,
///         user: String,
///         context: &mut ProcessContext<'_, String>,
///         out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         let logins = self.logins.value(context)?.unwrap_or(0) + 1;
///         self.logins.update(context, logins)?;
///         if logins == 3 {
///             out.collect(user);
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{T}` with keys `{K}`",
    note = "for a closure, use `process_with`"
)]
pub trait KeyedProcessFunction<K: Key, T: Data>: Send + 'static {
    /// What the function emits.
    type Output: Data;

    /// Registers states before the first record.
    ///
    /// # Errors
    /// What keeps the function from starting.
    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Takes a record. States are those of its key.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_element(
        &mut self,
        record: T,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a timer that a [`ProcessContext`] has registered, whose time has come. States are those of its key,
    /// and results get its time if that is event time.
    ///
    /// Timers of event time come when the watermark passes them, before any later record and before the watermark
    /// goes on; at the end of the data the watermark passes all. Those of processing time come between two
    /// batches, and not after the end of the data.
    ///
    /// When many are due, they fire about a millisecond at a time, and a checkpoint may be taken in between. A restore
    /// goes on with those that are left.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()> {
        let _ = (time, domain, context, out);
        Ok(())
    }
}

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
}

impl fmt::Debug for RuntimeContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeContext")
            .field("subtask", &self.subtask)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
