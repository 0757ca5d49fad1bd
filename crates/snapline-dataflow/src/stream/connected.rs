//! Two streams of different types that meet in one operator.

use crate::operator::collector::Collector;
use crate::process::{KeyedCoProcessFunction, OfEither};
use crate::stream::{DataStream, KeyedStream};
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Key};
use std::marker::PhantomData;

/// A record of one of two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums, reason = "there are two")]
pub enum Either<A, B> {
    /// Of the stream that was connected.
    Left(A),
    /// Of the stream that it was connected with.
    Right(B),
}

/// Two streams that meet in the next operator, where they can share state.
///
/// Records of one stream come in their order; between the streams there is none. Event time is that of the slower one.
#[derive(Debug, Clone)]
pub struct ConnectedStreams<A, B> {
    both: DataStream<Either<A, B>>,
}

/// Two connected streams, divided by a key of the same type.
#[derive(Debug, Clone)]
pub struct KeyedConnectedStreams<K, A, B> {
    pub(super) both: KeyedStream<K, Either<A, B>>,
}

impl<T: Data> DataStream<T> {
    /// Lets the records of this stream and of another, of whatever type, meet in the next operator.
    ///
    /// Each stream is dealt out as it would be alone: a stream that was [`broadcast`](Self::broadcast) reaches all subtasks of
    /// that operator.
    ///
    /// ```
    /// # use snapline_dataflow::DataStream;
    /// /// Numbers and words as lines.
    /// fn lines(numbers: &DataStream<u64>, words: &DataStream<String>) -> DataStream<String> {
    ///     numbers.connect(words).co_map(|number| number.to_string(), |word| word)
    /// }
    /// ```
    pub fn connect<U: Data>(&self, other: &DataStream<U>) -> ConnectedStreams<T, U> {
        let mut edges = self.wrapped("left", Either::<T, U>::Left);
        edges.extend(other.wrapped("right", Either::<T, U>::Right));
        ConnectedStreams {
            both: DataStream {
                env: self.env.clone(),
                edges,
                records: PhantomData,
            },
        }
    }
}

impl<A: Data, B: Data> ConnectedStreams<A, B> {
    /// Each record becomes one record, by the function for its stream.
    pub fn co_map<U: Data>(
        &self,
        mut left: impl FnMut(A) -> U + Clone + Send + Sync + 'static,
        mut right: impl FnMut(B) -> U + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        let mapped = self.both.map(move |record| match record {
            Either::Left(record) => left(record),
            Either::Right(record) => right(record),
        });
        mapped.name("co-map")
    }

    /// Each record becomes any number of records, which the function for its stream hands to the collector.
    pub fn co_flat_map<U: Data>(
        &self,
        mut left: impl FnMut(A, &mut Collector<'_, U>) + Clone + Send + Sync + 'static,
        mut right: impl FnMut(B, &mut Collector<'_, U>) + Clone + Send + Sync + 'static,
    ) -> DataStream<U> {
        let mapped = self
            .both
            .flat_map(move |record, out: &mut Collector<'_, U>| match record {
                Either::Left(record) => left(record, out),
                Either::Right(record) => right(record, out),
            });
        mapped.name("co-flat-map")
    }

    /// Divides both streams by a key: records of both with equal keys meet in the same subtask.
    pub fn key_by<K: Key>(
        &self,
        mut left: impl FnMut(&A) -> K + Clone + Send + Sync + 'static,
        mut right: impl FnMut(&B) -> K + Clone + Send + Sync + 'static,
    ) -> KeyedConnectedStreams<K, A, B> {
        let both = self.both.key_by(move |record| match record {
            Either::Left(record) => left(record),
            Either::Right(record) => right(record),
        });
        KeyedConnectedStreams { both }
    }
}

impl<K: Key, A: Data, B: Data> KeyedConnectedStreams<K, A, B> {
    /// Hands each record to a function that keeps state per key, for both streams.
    pub fn process<P>(&self, function: P) -> DataStream<P::Output>
    where
        P: KeyedCoProcessFunction<K, A, B> + Clone + Sync,
    {
        self.both.process(OfEither(function)).name("co-process")
    }
}
