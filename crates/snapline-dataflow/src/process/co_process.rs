//! Functions over two streams of one key.

use super::{KeyedProcessFunction, ProcessContext, RuntimeContext, TimeDomain};
use crate::operator::collector::Collector;
use crate::stream::connected::Either;
use snapline_core::{Data, Key, Result, Timestamp};

/// A function over the records of two connected streams, with states and timers per key that both share.
///
/// Records of one stream come in their order; between the streams there is none. See [`KeyedProcessFunction`] for clones,
/// failures and timers.
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{
///     Collector, DataStream, KeyedCoProcessFunction, ProcessContext, RuntimeContext, ValueState,
/// };
///
/// /// Orders with the rate of their currency, which may change; orders before the first rate are dropped.
/// #[derive(Clone, Default)]
/// struct Convert {
///     rate: ValueState<String, f64>,
/// }
///
/// type Order = (String, f64);
/// type Rate = (String, f64);
///
/// impl KeyedCoProcessFunction<String, Order, Rate> for Convert {
///     type Output = f64;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.rate = context.value_state("rate");
///         Ok(())
///     }
///
///     fn process_left(
///         &mut self,
///         (_, amount): Order,
///         context: &mut ProcessContext<'_, String>,
///         out: &mut Collector<'_, f64>,
///     ) -> Result<()> {
///         if let Some(rate) = self.rate.value(context)? {
///             out.collect(amount * rate);
///         }
///         Ok(())
///     }
///
///     fn process_right(
///         &mut self,
///         (_, rate): Rate,
///         context: &mut ProcessContext<'_, String>,
///         _out: &mut Collector<'_, f64>,
///     ) -> Result<()> {
///         self.rate.update(context, rate)
///     }
/// }
///
/// fn converted(orders: &DataStream<Order>, rates: &DataStream<Rate>) -> DataStream<f64> {
///     let by_currency = orders.connect(rates).key_by(|order| order.0.clone(), |rate| rate.0.clone());
///     by_currency.process(Convert::default())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{A}` and `{B}` with keys `{K}`",
    note = "implement `KeyedCoProcessFunction<{K}, {A}, {B}>` for it"
)]
pub trait KeyedCoProcessFunction<K: Key, A: Data, B: Data>: Send + 'static {
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

    /// Takes a record of the stream that was connected. States are those of its key.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_left(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a record of the stream that it was connected with.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_right(
        &mut self,
        record: B,
        context: &mut ProcessContext<'_, K>,
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

/// A function over two streams, as one over the records of either.
#[derive(Clone)]
pub(crate) struct OfEither<P>(pub(crate) P);

impl<K, A, B, P> KeyedProcessFunction<K, Either<A, B>> for OfEither<P>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedCoProcessFunction<K, A, B>,
{
    type Output = P::Output;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.0.open(context)
    }

    #[inline]
    fn process_element(
        &mut self,
        record: Either<A, B>,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, P::Output>,
    ) -> Result<()> {
        match record {
            Either::Left(record) => self.0.process_left(record, context, out),
            Either::Right(record) => self.0.process_right(record, context, out),
        }
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, P::Output>,
    ) -> Result<()> {
        self.0.on_timer(time, domain, context, out)
    }
}
