//! Jobs over thousands of crashes.
//!
//! Each job runs with 125 seeds here. `cargo xtask sim` runs more of them, and says so by environment
//! variables. `broken` shows that a job, a source or a sink that is not exactly once is found.

#![allow(clippy::print_stdout, reason = "a long run says how far it is")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod aligned;
mod broadcasts;
mod broken;
mod growing;
mod jobs;
mod joins;
mod loops;
mod promises;
mod requests;
mod timers;

use snapline_core::{Clock, SystemClock};
use snapline_testkit::simulation::Report;
use std::ops::Range;

/// How many seeds each job gets when nobody says.
const SEEDS: u64 = 125;
/// After how many seeds a long run says how far it is.
const PORTION: u64 = 100;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs a job with the seeds that the environment names, and says how far it is and how fast.
fn check(name: &str, job: fn(Range<u64>) -> Report) {
    let from = number("SNAPLINE_SIM_FROM").unwrap_or(0);
    let Some(seeds) = number("SNAPLINE_SIM_SEEDS") else {
        println!("{name}: {}", job(from..from + SEEDS));
        return;
    };
    let clock = SystemClock::new();
    let mut next = from;
    while next < from + seeds {
        let end = (next + PORTION).min(from + seeds);
        let report = job(next..end);
        let speed = (end - from) as f64 / clock.monotonic().as_secs_f64();
        println!("{name}: seeds {next}..{end}, {speed:.0} seeds/s: {report}");
        next = end;
    }
}

macro_rules! jobs {
    ($module:ident: $($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), $module::$name);
            }
        )*
    };
}

jobs! { jobs:
    map_and_filter,
    keyed_sum,
    rescaled_sum,
    union_of_two_sources,
    final_reduce,
    two_sinks,
    side_outputs,
    two_pipelines,
    broadcast,
    every_partitioner,
    any_alignment,
    shared_files,
    stopped_while_it_panics,
    short_input,
    finished_source,
    only_crashes,
    without_faults,
    tumbling_windows,
    sliding_windows,
    session_windows,
}

jobs! { aligned:
    sources_that_wait_for_one_another,
    sources_that_wait_while_others_are_idle,
}

jobs! { broadcasts:
    rules_beside_keys,
    rules_without_keys,
    waiting_in_lists,
}

jobs! { growing:
    grown_and_mapped,
    grown_and_summed,
    grown_beside_others,
    grown_in_windows,
}

jobs! { joins:
    connected_streams,
    joined_by_time,
    joined_in_windows,
    joined_with_versions,
}

jobs! { loops:
    looped,
    looped_and_shuffled,
    loops_that_panic,
    amplified_by_half,
    amplified_by_one,
    amplified_by_two,
    bursts,
    connected_components,
}

jobs! { requests:
    asked_in_order,
    asked_in_any_order,
    asked_in_a_loop,
}

jobs! { timers:
    held_by_the_clock,
    fired_by_the_watermark,
    many_at_one_watermark,
    many_overtaken_by_barriers,
}
