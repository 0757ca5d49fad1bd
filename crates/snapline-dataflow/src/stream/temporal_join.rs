//! Records with what was valid at their time.

use super::interval_join::time_of;
use crate::operator::collector::Collector;
use crate::process::{KeyedCoProcessFunction, ProcessContext, RuntimeContext, TimeDomain};
use crate::state::MapState;
use crate::stream::{DataStream, KeyedConnectedStreams};
use snapline_core::{Data, Error, Key, Result, Timestamp};
use snapline_state::Slot;
use std::marker::PhantomData;

impl<K: Key, A: Data, B: Data> KeyedConnectedStreams<K, A, B> {
    /// Joins each record of the left stream with the newest of the right one that has the same key and is not later: orders
    /// with the rate of their moment. The records of the right stream are versions, each valid until the next.
    ///
    /// A record waits until the watermark has passed it, so that no version for it can come any more. `join` is given it and
    /// its version, `None` before the first, and what it makes of them goes out with the time of the record. A left
    /// record that comes when the watermark has passed it is dropped, one without a timestamp on either side fails the job. Of
    /// versions of one time the one that came last is valid. Those that no record can ask for any more are forgotten; the
    /// newest of each key is kept for ever.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// The amounts of orders at the rate of their currency when they were made; without a rate there is none.
    /// fn converted(
    ///     orders: &DataStream<(String, f64)>,
    ///     rates: &DataStream<(String, f64)>,
    /// ) -> DataStream<f64> {
    ///     let by_currency = orders.connect(rates).key_by(|order| order.0.clone(), |rate| rate.0.clone());
    ///     by_currency.temporal_join(|order, rate| rate.map(|rate| order.1 * rate.1))
    /// }
    /// ```
    pub fn temporal_join<U: Data>(
        &self,
        join: impl Fn(A, Option<&B>) -> Option<U> + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        let function = TemporalJoin {
            join,
            waiting: MapState::default(),
            versions: MapState::default(),
            output: PhantomData,
        };
        self.process(function).name("temporal-join")
    }
}

/// The left records that wait, and the versions, by their times.
#[derive(Clone)]
struct TemporalJoin<K, A, B, F, U> {
    join: F,
    waiting: MapState<K, i64, Vec<A>>,
    versions: MapState<K, i64, B>,
    output: PhantomData<fn() -> U>,
}

impl<K, A, B, F, U> KeyedCoProcessFunction<K, A, B> for TemporalJoin<K, A, B, F, U>
where
    K: Key,
    A: Data,
    B: Data,
    U: Data,
    F: Fn(A, Option<&B>) -> Option<U> + Send + 'static,
{
    type Output = U;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.waiting = context.map_state("waiting");
        self.versions = context.map_state("versions");
        Ok(())
    }

    fn process_left(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_, K>,
        _out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let Some(at) = time_of(context)? else {
            return Ok(());
        };
        self.waiting.modify(context, at, |slot| match slot {
            Slot::Occupied(records) => records.push(record),
            Slot::Vacant(vacant) => *vacant = Some(vec![record]),
        })?;
        context.register_event_time_timer(Timestamp(at))
    }

    /// Also a version that is late is one for records to come, if it is the newest.
    fn process_right(
        &mut self,
        version: B,
        context: &mut ProcessContext<'_, K>,
        _out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let at = context.timestamp().ok_or_else(no_timestamp)?;
        self.versions.put(context, at.0, version)?;
        context.register_event_time_timer(at)
    }

    fn on_timer(
        &mut self,
        Timestamp(time): Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let records = self.waiting.remove(context, &time)?.unwrap_or_default();
        let join = &self.join;
        let newest = self.versions.read(context, |versions| {
            let valid = versions.and_then(|versions| versions.range(..=time).next_back());
            for record in records {
                let joined = join(record, valid.map(|(_, version)| version));
                joined.into_iter().for_each(|joined| out.collect(joined));
            }
            valid.map(|(at, _)| *at)
        })?;
        // Records up to this time are late from now on.
        self.versions
            .retain(context, |at, _| newest.is_none_or(|newest| *at >= newest))
    }
}

#[cold]
fn no_timestamp() -> Error {
    Error::invalid(
        "a version without a timestamp cannot be joined by time; use assign_timestamps_and_watermarks before",
    )
}
