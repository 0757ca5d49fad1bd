//! What becomes of the records of each key together.

use crate::operator::accumulate::{Accumulate, Accumulator, Emit};
use crate::operator::aggregate::Aggregate;
use crate::operator::fold::Fold;
use crate::operator::reduce::Reduce;
use crate::stream::{DataStream, KeyedStream, transform};
use snapline_core::{Data, Error, Key};
use snapline_state::{StateDescriptor, StateTtl};
use std::ops::AddAssign;
use std::time::Duration;

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// Adds up one field per key. Each record moves on with the sum so far in that field.
    ///
    /// The field is named by a function: `.sum(|(_, count)| count)`.
    pub fn sum<N>(&self, field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static) -> DataStream<T>
    where
        N: Data + Sync + for<'a> AddAssign<&'a N>,
    {
        self.aggregate_field("sum", field, |sum, value| *sum += value)
    }

    /// The smallest value of one field per key. Each record moves on with the minimum so far in that field.
    pub fn min<N>(&self, field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static) -> DataStream<T>
    where
        N: Data + Sync + PartialOrd,
    {
        self.aggregate_field("min", field, |least: &mut N, value| {
            if value < least {
                least.clone_from(value);
            }
        })
    }

    /// The largest value of one field per key. Each record moves on with the maximum so far in that field.
    pub fn max<N>(&self, field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static) -> DataStream<T>
    where
        N: Data + Sync + PartialOrd,
    {
        self.aggregate_field("max", field, |most: &mut N, value| {
            if value > most {
                most.clone_from(value);
            }
        })
    }

    /// Combines the records of each key into one: `combine` folds a new record into the one so far.
    pub fn reduce(&self, combine: impl Fn(&mut T, T) + Clone + Send + Sync + 'static) -> DataStream<T> {
        self.accumulate("reduce", Reduce(combine))
    }

    /// The record with the smallest value of something per key, the first of those with equal values. After each record,
    /// the one so far moves on.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// The cheapest offer so far for an article, at each offer.
    /// fn cheapest(offers: &DataStream<(String, u32)>) -> DataStream<(String, u32)> {
    ///     offers.key_by(|(article, _)| article.clone()).min_by(|(_, price)| *price)
    /// }
    /// ```
    pub fn min_by<N: PartialOrd>(
        &self,
        value: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        let keep = move |best: &mut T, record: T| {
            if value(&record) < value(best) {
                *best = record;
            }
        };
        self.accumulate("min-by", Reduce(keep))
    }

    /// The record with the largest value of something per key, the first of those with equal values. After each record, the
    /// one so far moves on.
    pub fn max_by<N: PartialOrd>(
        &self,
        value: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        let keep = move |best: &mut T, record: T| {
            if value(&record) > value(best) {
                *best = record;
            }
        };
        self.accumulate("max-by", Reduce(keep))
    }

    /// Folds the records of each key into a value, which begins as `initial`. After each record, the value so far moves on
    /// with its key.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// The sum and the number of the readings of each sensor.
    /// fn totals(readings: &DataStream<(u32, f64)>) -> DataStream<(u32, (f64, u64))> {
    ///     let by_sensor = readings.key_by(|(sensor, _)| *sensor);
    ///     by_sensor.fold((0.0, 0), |(sum, count), (_, reading)| {
    ///         *sum += reading;
    ///         *count += 1;
    ///     })
    /// }
    /// ```
    pub fn fold<A: Data + Sync>(
        &self,
        initial: A,
        function: impl Fn(&mut A, T) + Clone + Send + Sync + 'static,
    ) -> DataStream<(K, A)> {
        let function = move |value: &mut A, record| {
            function(value, record);
            true
        };
        self.accumulate("fold", Fold { initial, function })
    }

    /// How many records each key has had. After each record, the number so far moves on with its key.
    pub fn count(&self) -> DataStream<(K, u64)> {
        let function = |count: &mut u64, _| {
            *count += 1;
            true
        };
        let initial = 0;
        self.accumulate("count", Fold { initial, function })
    }

    /// The `n` records of each key with the largest values of something, largest first, and the earlier one first where
    /// values are equal. Whenever they change, they move on with their key.
    ///
    /// The state of a key are its `n` records, at least one. A value that cannot be compared, such as NaN, is smaller
    /// than any other.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// The three highest bids for each lot.
    /// fn highest(bids: &DataStream<(u32, u64)>) -> DataStream<(u32, Vec<(u32, u64)>)> {
    ///     bids.key_by(|(lot, _)| *lot).top_n(3, |(_, bid)| *bid)
    /// }
    /// ```
    pub fn top_n<N: PartialOrd>(
        &self,
        n: usize,
        value: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<(K, Vec<T>)>
    where
        T: Sync,
    {
        let name = "top-n";
        let checked = (n > 0)
            .then_some(())
            .ok_or_else(|| Error::invalid("top_n keeps at least one record per key"));
        self.env.require(checked, name);
        let function = move |top: &mut Vec<T>, record: T| rank(top, record, n, &value);
        let initial = Vec::new();
        self.accumulate(name, Fold { initial, function })
    }

    /// The first record of each key moves on; those that come later are dropped.
    ///
    /// Each key that ever came is kept as state. Where keys come back only for a while,
    /// [`distinct_within`](Self::distinct_within) forgets them.
    pub fn distinct(&self) -> DataStream<T> {
        let distinct = self.process_with(|context| {
            let seen = context.value_state("seen");
            move |record, context, out| {
                if seen.value(context)?.is_none() {
                    seen.update(context, ())?;
                    out.collect(record);
                }
                Ok(())
            }
        });
        distinct.name("distinct")
    }

    /// A record moves on when its key has not come for a while, in processing time.
    ///
    /// Each record of a key, dropped or not, keeps the key from being forgotten for `pause`.
    pub fn distinct_within(&self, pause: Duration) -> DataStream<T> {
        let distinct = self.process_with(move |context| {
            let (ttl, clock) = (StateTtl::new(pause), context.clock());
            let seen = context.value_state(StateDescriptor::new("seen").time_to_live(ttl, clock));
            move |record, context, out| {
                let is_new = seen.value(context)?.is_none();
                seen.update(context, ())?;
                if is_new {
                    out.collect(record);
                }
                Ok(())
            }
        });
        distinct.name("distinct")
    }

    fn aggregate_field<N: Data + Sync>(
        &self,
        name: &str,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
        combine: impl Fn(&mut N, &N) + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        match self.emit {
            Emit::Updates => transform(
                &self.env,
                name,
                self.edges(),
                Aggregate::<_, _, K, T, N>::new(field, combine),
            ),
            Emit::Final => {
                let whole = move |so_far: &mut T, mut record: T| combine(field(so_far), field(&mut record));
                self.accumulate(name, Reduce(whole))
            }
        }
    }

    fn accumulate<A: Accumulator<K, T>>(&self, name: &str, accumulator: A) -> DataStream<A::Output> {
        let factory = Accumulate::<A, K, T>::new(accumulator, self.emit);
        transform(&self.env, name, self.edges(), factory)
    }
}

/// Puts a record into its place among the `n` with the largest values. Whether it has one.
fn rank<T, N: PartialOrd>(top: &mut Vec<T>, record: T, n: usize, value: &impl Fn(&T) -> N) -> bool {
    let new = value(&record);
    let is_ahead = |other: &T| value(other) >= new || new.partial_cmp(&new).is_none();
    let place = top.iter().take_while(|other| is_ahead(other)).count();
    if place >= n {
        return false;
    }
    top.truncate(n - 1);
    top.insert(place, record);
    true
}
