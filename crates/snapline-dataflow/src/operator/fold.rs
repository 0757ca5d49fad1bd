//! The records of each key are folded into a value of another type.

use crate::operator::accumulate::Accumulator;
use snapline_core::{Data, Key};

/// The function tells whether a record has changed the value.
#[derive(Clone)]
pub(crate) struct Fold<A, F> {
    pub(crate) initial: A,
    pub(crate) function: F,
}

impl<A, F, K, T> Accumulator<K, T> for Fold<A, F>
where
    A: Data + Sync,
    K: Key,
    F: Fn(&mut A, T) -> bool + Clone + Send + Sync + 'static,
{
    const STATE: &'static str = "fold";
    type State = A;
    type Output = (K, A);
    type Tag = K;

    fn tag(key: &K) -> K {
        key.clone()
    }

    fn begin(&self, record: T) -> A {
        let mut value = self.initial.clone();
        (self.function)(&mut value, record);
        value
    }

    fn add(&self, value: &mut A, record: T) -> bool {
        (self.function)(value, record)
    }

    fn output(&self, key: K, value: &A) -> (K, A) {
        (key, value.clone())
    }

    fn finish(&self, key: K, value: A) -> (K, A) {
        (key, value)
    }
}
