//! What the `workload` binary is made of: inputs, hand-written baselines, expectations, figures.
//!
//! The baselines are the work of a workload as one would write it by hand, without any
//! framework: what a framework costs is said against them.

mod backpressure;
mod baseline;
mod components;
mod exchange;
mod expected;
mod idle;
mod job;
mod keys;
mod latency;
mod machine;
mod nexmark;
mod pages;
mod random;
mod recovery;
mod report;
mod rescale;
mod text;
mod usage;
mod windowed;

pub use backpressure::{BackpressureOptions, BackpressureReport, run_backpressure};
pub use baseline::components::union_find;
pub use baseline::exchange::two_thread_exchange;
pub use baseline::keyed_sum::{
    KeyedSums, PlainSums, PrefetchedSums, naive_keyed_sum, prefetched_keyed_sum, two_thread_keyed_sum,
};
pub use baseline::nexmark::nexmark_by_hand;
pub use baseline::windowed::count_windows;
pub use baseline::word_count::{two_thread_word_count, word_count};
pub use components::{Graph, membership, run_components};
pub use exchange::{Dealing, ExchangeOptions, RecordSize, expect_exchange, run_exchange};
pub use expected::{Totals, expect_components, expect_keyed_sum, expect_windows, expect_word_count};
pub use idle::{IdleReport, Shape, run_idle};
pub use job::{JobOptions, LiveState, run_keyed_sum, run_word_count};
pub use keys::Keys;
pub use latency::{LatencyOptions, LatencyReport, Rate, run_latency};
pub use machine::Ceilings;
pub use nexmark::{Auction, Bid, Event, Market, NexmarkReport, Person, Query, run_nexmark};
pub use random::{SplitMix64, mix};
pub use recovery::{RecoveryOptions, RecoveryReport, Start, run_recovery, serve_recovery};
pub use report::Report;
pub use rescale::{RescaleOptions, RescaleReport, run_rescale};
pub use text::{TextSettings, write_text};
pub use usage::{Usage, waited_for_a_core};
pub use windowed::{Timed, Windows, run_windowed, weight};
