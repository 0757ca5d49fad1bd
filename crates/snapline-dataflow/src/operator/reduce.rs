//! Whole records are combined per key.

use crate::operator::accumulate::Accumulator;
use snapline_core::{Data, Key};

/// The state of a key is the record so far.
#[derive(Clone)]
pub(crate) struct Reduce<F>(pub(crate) F);

impl<F, K, T> Accumulator<K, T> for Reduce<F>
where
    K: Key,
    T: Data,
    F: Fn(&mut T, T) + Clone + Send + Sync + 'static,
{
    const STATE: &'static str = "record";
    type State = T;
    type Output = T;
    type Tag = ();

    fn tag(_: &K) {}

    fn begin(&self, record: T) -> T {
        record
    }

    fn add(&self, so_far: &mut T, record: T) -> bool {
        (self.0)(so_far, record);
        true
    }

    fn output(&self, (): (), so_far: &T) -> T {
        so_far.clone()
    }

    fn finish(&self, _: K, so_far: T) -> T {
        so_far
    }
}
