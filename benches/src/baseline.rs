//! The work of the workloads, written by hand for one thread.

pub(crate) mod keyed_sum;
pub(crate) mod word_count;
