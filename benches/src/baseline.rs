//! The work of the workloads, written by hand.

pub(crate) mod components;
pub(crate) mod exchange;
pub(crate) mod keyed_sum;
pub(crate) mod nexmark;
mod two_threads;
pub(crate) mod windowed;
pub(crate) mod word_count;
