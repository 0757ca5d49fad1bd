//! Streams that are divided by key.

use crate::environment::StreamExecutionEnvironment;
use crate::graph::{NodeId, StreamEdge};
use crate::operator::aggregate::Aggregate;
use crate::operator::reduce::{Emit, Reduce};
use crate::output::Partitioning;
use crate::stream::{DataStream, transform};
use snapline_core::{Data, Key};
use std::marker::PhantomData;
use std::ops::AddAssign;

/// A stream whose records are divided by a key, so that operators can keep state per key.
#[derive(Debug, Clone)]
pub struct KeyedStream<K, T> {
    env: StreamExecutionEnvironment,
    nodes: Vec<NodeId>,
    emit: Emit,
    types: PhantomData<fn() -> (K, T)>,
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    pub(crate) fn new(env: StreamExecutionEnvironment, nodes: Vec<NodeId>) -> Self {
        Self {
            env,
            nodes,
            emit: Emit::default(),
            types: PhantomData,
        }
    }

    /// Chooses when the next operator emits its results.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
    }

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
        transform(
            &self.env,
            "reduce",
            self.edges(),
            Reduce::<_, K, T>::new(combine, self.emit),
        )
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
                transform(
                    &self.env,
                    name,
                    self.edges(),
                    Reduce::<_, K, T>::new(whole, Emit::Final),
                )
            }
        }
    }

    fn edges(&self) -> Vec<StreamEdge> {
        self.nodes
            .iter()
            .map(|from| StreamEdge {
                from: *from,
                partitioning: Partitioning::Hash,
            })
            .collect()
    }
}
