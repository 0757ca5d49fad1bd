//! Functions over a stream and another one that all subtasks are told.

use super::{
    BroadcastContext, KeyedBroadcastContext, KeyedProcessFunction, ProcessContext, ProcessFunction,
    RecordContext, RuntimeContext, SnapshotContext, TimeDomain,
};
use crate::operator::collector::Collector;
use snapline_core::{Data, Key, Result, Timestamp};
use std::marker::PhantomData;

/// A function over a keyed stream and a broadcast one: records see the [`BroadcastState`](crate::BroadcastState) that
/// broadcast records have made, beside the states and timers of their key.
///
/// All subtasks get all broadcast records. So that the state is the same everywhere, what is written to it may come only of
/// these and of what it has been; the order in which records of several subtasks of the broadcast stream come differs from
/// subtask to subtask. Between the two streams there is no order. Event time is that of the slower one: a stream of rules
/// without watermarks holds all timers back, unless it is [idle](crate::WatermarkStrategy::with_idleness).
/// See [`KeyedProcessFunction`] for clones, failures and timers.
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{
///     BroadcastState, Collector, DataStream, KeyedBroadcastContext, KeyedBroadcastProcessFunction, ProcessContext,
///     RuntimeContext, ValueState,
/// };
///
/// /// Tells who has bought more of a product than is allowed, where the limits change.
/// #[derive(Clone, Default)]
/// struct OverLimit {
///     limits: BroadcastState<String, u64>,
///     bought: ValueState<String, u64>,
/// }
///
/// type Purchase = (String, String);
/// type Limit = (String, u64);
///
/// impl KeyedBroadcastProcessFunction<String, Purchase, Limit> for OverLimit {
///     type Output = String;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.limits = context.broadcast_state("limits");
///         self.bought = context.value_state("bought");
///         Ok(())
///     }
///
///     fn process_element(
///         &mut self,
///         (customer, product): Purchase,
///         context: &mut ProcessContext<'_, String>,
///         out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         let bought = self.bought.value(context)?.unwrap_or(0) + 1;
///         self.bought.update(context, bought)?;
///         let limit = context.broadcast_state(&self.limits)?.get(&product);
///         if limit.is_some_and(|limit| bought > *limit) {
///             out.collect(customer);
///         }
///         Ok(())
///     }
///
///     fn process_broadcast_element(
///         &mut self,
///         (product, limit): Limit,
///         context: &mut KeyedBroadcastContext<'_, String>,
///         _out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         context.broadcast_state(&self.limits)?.insert(product, limit)?;
///         Ok(())
///     }
/// }
///
/// fn over_limit(purchases: &DataStream<Purchase>, limits: &DataStream<Limit>) -> DataStream<String> {
///     let by_customer = purchases.key_by(|(customer, _)| customer.clone());
///     by_customer.connect_broadcast(limits).process(OverLimit::default())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{A}` with keys `{K}` and broadcast records `{B}`",
    note = "implement `KeyedBroadcastProcessFunction<{K}, {A}, {B}>` for it"
)]
pub trait KeyedBroadcastProcessFunction<K: Key, A: Data, B: Data>: Send + 'static {
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

    /// Takes a record of the keyed stream. States are those of its key; the broadcast state can only be looked at, since
    /// other subtasks do not see the record.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_element(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a record of the broadcast stream, as every other subtask does: what is emitted here comes once from each.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_broadcast_element(
        &mut self,
        record: B,
        context: &mut KeyedBroadcastContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a timer whose time has come; see [`KeyedProcessFunction::on_timer`].
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

/// A function over a stream without keys and a broadcast one; see [`KeyedBroadcastProcessFunction`] for what holds of the
/// two streams, and [`ProcessFunction`] for operator state.
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{
///     BroadcastContext, BroadcastProcessFunction, BroadcastState, Collector, DataStream, RecordContext, RuntimeContext,
/// };
///
/// /// Lets lines through that have none of the words that are forbidden so far.
/// #[derive(Clone, Default)]
/// struct Censor {
///     forbidden: BroadcastState<String, ()>,
/// }
///
/// impl BroadcastProcessFunction<String, String> for Censor {
///     type Output = String;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.forbidden = context.broadcast_state("forbidden");
///         Ok(())
///     }
///
///     fn process_element(
///         &mut self,
///         line: String,
///         context: &mut RecordContext<'_>,
///         out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         let forbidden = context.broadcast_state(&self.forbidden)?;
///         if !line.split(' ').any(|word| forbidden.contains_key(word)) {
///             out.collect(line);
///         }
///         Ok(())
///     }
///
///     fn process_broadcast_element(
///         &mut self,
///         word: String,
///         context: &mut BroadcastContext<'_>,
///         _out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         context.broadcast_state(&self.forbidden)?.insert(word, ())?;
///         Ok(())
///     }
/// }
///
/// fn censored(lines: &DataStream<String>, words: &DataStream<String>) -> DataStream<String> {
///     lines.connect_broadcast(words).process(Censor::default())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{A}` and broadcast records `{B}`",
    note = "implement `BroadcastProcessFunction<{A}, {B}>` for it"
)]
pub trait BroadcastProcessFunction<A: Data, B: Data>: Send + 'static {
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

    /// Takes a record of the stream that was connected. The broadcast state can only be looked at.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_element(
        &mut self,
        record: A,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a record of the broadcast stream, as every other subtask does: what is emitted here comes once from each.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_broadcast_element(
        &mut self,
        record: B,
        context: &mut BroadcastContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// See [`ProcessFunction::snapshot`].
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// See [`ProcessFunction::finish`].
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn finish(
        &mut self,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()> {
        let _ = (context, out);
        Ok(())
    }
}

/// The part of a function with a broadcast side that takes the other records.
#[derive(Clone)]
pub(crate) struct RecordSide<P, B> {
    pub(crate) function: P,
    broadcast: PhantomData<fn(B)>,
}

impl<P, B> RecordSide<P, B> {
    pub(crate) fn new(function: P) -> Self {
        Self {
            function,
            broadcast: PhantomData,
        }
    }
}

impl<K, A, B, P> KeyedProcessFunction<K, A> for RecordSide<P, B>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedBroadcastProcessFunction<K, A, B>,
{
    type Output = P::Output;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.function.open(context)
    }

    #[inline]
    fn process_element(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, P::Output>,
    ) -> Result<()> {
        self.function.process_element(record, context, out)
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, P::Output>,
    ) -> Result<()> {
        self.function.on_timer(time, domain, context, out)
    }
}

impl<A, B, P> ProcessFunction<A> for RecordSide<P, B>
where
    A: Data,
    B: Data,
    P: BroadcastProcessFunction<A, B>,
{
    type Output = P::Output;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.function.open(context)
    }

    #[inline]
    fn process_element(
        &mut self,
        record: A,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, P::Output>,
    ) -> Result<()> {
        self.function.process_element(record, context, out)
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        self.function.snapshot(context)
    }

    fn finish(&mut self, context: &mut RecordContext<'_>, out: &mut Collector<'_, P::Output>) -> Result<()> {
        self.function.finish(context, out)
    }
}
