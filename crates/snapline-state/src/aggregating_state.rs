//! One accumulator per key.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::ValueState;
use snapline_core::{Data, Error, Key, MaxParallelism, Result};

/// How values are gathered in an accumulator, and what comes of it.
///
/// ```
/// use snapline_state::AggregateFunction;
///
/// struct Average;
///
/// impl AggregateFunction for Average {
///     type Input = f64;
///     type Accumulator = (f64, u64);
///     type Output = f64;
///
///     fn create_accumulator(&self) -> (f64, u64) {
///         (0.0, 0)
///     }
///
///     fn add(&self, (sum, count): &mut (f64, u64), value: f64) {
///         *sum += value;
///         *count += 1;
///     }
///
///     fn result(&self, (sum, count): &(f64, u64)) -> f64 {
///         sum / *count as f64
///     }
/// }
///
/// let mut accumulator = Average.create_accumulator();
/// [1.0, 4.0].into_iter().for_each(|value| Average.add(&mut accumulator, value));
/// assert_eq!(Average.result(&accumulator), 2.5);
/// ```
pub trait AggregateFunction {
    /// What is gathered.
    type Input;
    /// What is stored.
    type Accumulator: Data;
    /// What comes of it.
    type Output;

    /// The accumulator of no values.
    fn create_accumulator(&self) -> Self::Accumulator;

    /// Adds a value.
    fn add(&self, accumulator: &mut Self::Accumulator, value: Self::Input);

    /// What has come of the values so far.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Output;

    /// Adds what another accumulator has gathered, which may be nothing. Needed only where parts are put together, as
    /// session windows are.
    ///
    /// # Errors
    /// `Unsupported`, unless it is implemented.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator) -> Result<()> {
        let _ = (accumulator, other);
        Err(Error::unsupported(
            "the aggregate function does not merge, which windows that merge need; implement `AggregateFunction::merge`",
        ))
    }
}

/// A handle to one accumulator per key.
#[derive(Debug, Clone)]
pub struct AggregatingState<K, A: AggregateFunction> {
    value: ValueState<K, A::Accumulator>,
    function: A,
}

impl<K: Key, A: AggregateFunction> AggregatingState<K, A> {
    /// Adds a table to the tables that an operator wants.
    pub fn register(
        descriptor: impl Into<StateDescriptor<A::Accumulator>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
        function: A,
    ) -> Self {
        Self {
            value: ValueState::register(descriptor, tables, max_parallelism),
            function,
        }
    }

    /// The plain value state behind the handle.
    pub fn as_value(&self) -> &ValueState<K, A::Accumulator> {
        &self.value
    }

    /// Adds a value to the accumulator of a key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        value: A::Input,
    ) -> Result<()> {
        self.value.modify(backend, hash, key, |slot| match slot {
            Slot::Occupied(accumulator) => self.function.add(accumulator, value),
            Slot::Vacant(vacant) => self
                .function
                .add(vacant.insert(self.function.create_accumulator()), value),
        })
    }

    /// What has come of the values of a key, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn result(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
    ) -> Result<Option<A::Output>> {
        self.value.read(backend, hash, key, |accumulator| {
            accumulator.map(|accumulator| self.function.result(accumulator))
        })
    }

    /// Removes the accumulator of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.value.clear(backend, hash, key)
    }
}
