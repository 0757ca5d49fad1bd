//! Records of two streams that are near each other in time.

use crate::operator::collector::Collector;
use crate::process::{KeyedCoProcessFunction, ProcessContext, RuntimeContext, TimeDomain};
use crate::state::MapState;
use crate::stream::{DataStream, KeyedConnectedStreams};
use snapline_core::{Data, Error, Key, Result, Timestamp, Watermark};
use snapline_state::Slot;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

impl<K: Key, A: Data, B: Data> KeyedConnectedStreams<K, A, B> {
    /// Pairs each record of the left stream with those of the right one that have the same key and a timestamp at least
    /// `lower` and at most `upper` milliseconds later than its own; negative is earlier.
    ///
    /// What `join` makes of a pair goes out as soon as both are there, with the later of their timestamps. Records are kept
    /// until the watermark says that no partner will come. One that comes when the watermark has passed it is dropped, one
    /// without a timestamp fails the job.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// Orders with the payments that came for them within an hour.
    /// fn paid(
    ///     orders: &DataStream<(u64, u32)>,
    ///     payments: &DataStream<(u64, u32)>,
    /// ) -> DataStream<(u64, u32, u32)> {
    ///     let by_order = orders.connect(payments).key_by(|(id, _)| *id, |(id, _)| *id);
    ///     by_order.interval_join(0, 3_600_000, |(id, amount), (_, payment)| (*id, *amount, *payment))
    /// }
    /// ```
    pub fn interval_join<U: Data>(
        &self,
        lower: i64,
        upper: i64,
        join: impl Fn(&A, &B) -> U + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        let name = "interval-join";
        self.both.env.require(check(lower, upper), name);
        let function = IntervalJoin {
            lower,
            upper,
            join,
            left: MapState::default(),
            right: MapState::default(),
            output: PhantomData,
        };
        self.process(function).name(name)
    }
}

fn check(lower: i64, upper: i64) -> Result<()> {
    if lower <= upper {
        return Ok(());
    }
    Err(
        Error::invalid("the lower bound of an interval join must not be above the upper one")
            .with("lower", lower)
            .with("upper", upper),
    )
}

/// The records of both sides by timestamp, in the order in which they came.
#[derive(Clone)]
struct IntervalJoin<K, A, B, F, U> {
    lower: i64,
    upper: i64,
    join: F,
    left: MapState<K, i64, Vec<A>>,
    right: MapState<K, i64, Vec<B>>,
    output: PhantomData<fn() -> U>,
}

impl<K, A, B, F, U> IntervalJoin<K, A, B, F, U> {
    /// Where the partners of a left record are.
    fn of_left(&self, at: i64) -> RangeInclusive<i64> {
        at.saturating_add(self.lower)..=at.saturating_add(self.upper)
    }

    fn of_right(&self, at: i64) -> RangeInclusive<i64> {
        at.saturating_sub(self.upper)..=at.saturating_sub(self.lower)
    }
}

impl<K, A, B, F, U> KeyedCoProcessFunction<K, A, B> for IntervalJoin<K, A, B, F, U>
where
    K: Key,
    A: Data,
    B: Data,
    U: Data,
    F: Fn(&A, &B) -> U + Send + 'static,
{
    type Output = U;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.left = context.map_state("left");
        self.right = context.map_state("right");
        Ok(())
    }

    fn process_left(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let Some(at) = time_of(context)? else {
            return Ok(());
        };
        let partners = self.of_left(at);
        let join = &self.join;
        self.right.read(context, |right| {
            for (time, partners) in in_range(right, partners.clone()) {
                out.at(Some(Timestamp(at.max(*time))));
                partners
                    .iter()
                    .for_each(|partner| out.collect(join(&record, partner)));
            }
        })?;
        keep(&self.left, context, at, record, *partners.end())
    }

    fn process_right(
        &mut self,
        record: B,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let Some(at) = time_of(context)? else {
            return Ok(());
        };
        let partners = self.of_right(at);
        let join = &self.join;
        self.left.read(context, |left| {
            for (time, partners) in in_range(left, partners.clone()) {
                out.at(Some(Timestamp(at.max(*time))));
                partners
                    .iter()
                    .for_each(|partner| out.collect(join(partner, &record)));
            }
        })?;
        keep(&self.right, context, at, record, *partners.end())
    }

    /// Forgets what has no partner to wait for any more.
    fn on_timer(
        &mut self,
        Timestamp(time): Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        _out: &mut Collector<'_, U>,
    ) -> Result<()> {
        let waits = |at: i64, last: i64| at.max(last) > time;
        let (upper, lower) = (self.upper, self.lower);
        self.left
            .retain(context, |at, _| waits(*at, at.saturating_add(upper)))?;
        self.right
            .retain(context, |at, _| waits(*at, at.saturating_sub(lower)))
    }
}

fn in_range<T>(
    side: Option<&BTreeMap<i64, Vec<T>>>,
    times: RangeInclusive<i64>,
) -> impl Iterator<Item = (&i64, &Vec<T>)> {
    side.into_iter().flat_map(move |side| side.range(times.clone()))
}

/// The timestamp of the record; `None` when it is late.
pub(super) fn time_of<K>(context: &ProcessContext<'_, K>) -> Result<Option<i64>> {
    let Some(timestamp) = context.timestamp() else {
        return Err(Error::invalid(
            "a record without a timestamp cannot be joined by time; use assign_timestamps_and_watermarks before",
        ));
    };
    let watermark = context.current_watermark();
    let is_late = watermark > Watermark::MIN && watermark.0 >= timestamp;
    Ok((!is_late).then_some(timestamp.0))
}

/// Keeps a record until the watermark has reached its last possible partner and itself.
fn keep<K: Key, T: Data>(
    side: &MapState<K, i64, Vec<T>>,
    context: &mut ProcessContext<'_, K>,
    at: i64,
    record: T,
    last: i64,
) -> Result<()> {
    side.modify(context, at, |slot| match slot {
        Slot::Occupied(records) => records.push(record),
        Slot::Vacant(vacant) => *vacant = Some(vec![record]),
    })?;
    context.register_event_time_timer(Timestamp(at.max(last)))
}
