//! The workloads with windows as Snapline programs.

use crate::expected::Totals;
use crate::job::{CountingSink, JobOptions, environment};
use crate::random::mix;
use crate::report::Report;
use snapline::Result;
use snapline::prelude::*;
use std::time::Duration;

/// Which windows records are counted in.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "the options of a program")]
pub enum Windows {
    /// One after the other, of this many milliseconds.
    Tumbling(u64),
    /// Overlapping, of a size and each slide, in milliseconds.
    Sliding(u64, u64),
    /// With a gap of this many milliseconds between them.
    Sessions(u64),
}

/// The records of a workload with windows: number i has the key `mix(i) % keys` and the time `i / events_per_ms`, rounded
/// down to a multiple of the tick.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "the options of a program")]
pub struct Timed {
    /// How many records there are.
    pub records: u64,
    /// How many keys there are, at least 1.
    pub keys: u64,
    /// How many records there are in a millisecond, at least 1.
    pub events_per_ms: u64,
    /// How far apart two times are at least that are not the same, in milliseconds, at least 1.
    pub tick_ms: u64,
}

impl Timed {
    /// The key and the time of a record, in milliseconds.
    #[inline]
    pub fn record(self, index: u64) -> (u64, u64) {
        let at = index / self.events_per_ms;
        (mix(index) % self.keys, at - at % self.tick_ms)
    }
}

/// What a count adds to the sum of a run, so that counts that are cut otherwise show.
#[inline]
pub fn weight(count: u64) -> u64 {
    count.wrapping_mul(count)
}

/// Counts records by key and window, and emits each count at the end of its window.
///
/// # Errors
/// What made the job fail.
pub async fn run_windowed(windows: Windows, timed: Timed, options: &JobOptions) -> Result<(Report, Totals)> {
    let env = environment(options).await?;
    let sink = CountingSink::default();
    let source = GeneratorSource::new(timed.records, move |index| {
        let (key, at) = timed.record(index);
        (key, at, 1_u64)
    });
    let strategy = WatermarkStrategy::<(u64, u64, u64)>::for_monotonous_timestamps()
        .with_timestamp_assigner(|(_, at, _)| Timestamp(*at as i64));
    let keyed = env
        .from_source_with_watermarks(source, strategy, "records")
        .map(|(key, _, value)| (key, value))
        .key_by(|(key, _)| *key);
    let millis = Duration::from_millis;
    let add = |count: &mut (u64, u64), record: (u64, u64)| count.1 += record.1;
    let counts = match windows {
        Windows::Tumbling(size) => keyed
            .window(TumblingEventTimeWindows::of(millis(size)))
            .reduce(add),
        Windows::Sliding(size, slide) => {
            let sliding = SlidingEventTimeWindows::of(millis(size), millis(slide));
            keyed.window(sliding).reduce(add)
        }
        Windows::Sessions(gap) => keyed
            .window(EventTimeSessionWindows::with_gap(millis(gap)))
            .reduce(add),
    };
    counts.sink_to(sink.of(|(_, count)| weight(*count)));
    let status = env.execute("windowed").await?.status;
    Ok(sink.report("windowed", options, &status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::expect_windows;
    use futures::executor::block_on;

    #[test]
    fn jobs_with_windows_arrive_at_what_is_expected() {
        let timed = Timed {
            records: 30_000,
            keys: 500,
            events_per_ms: 3,
            tick_ms: 2,
        };
        for windows in [
            Windows::Tumbling(100),
            Windows::Sliding(600, 100),
            Windows::Sessions(301),
        ] {
            for parallelism in [1, 2] {
                let options = JobOptions::without_checkpoints(parallelism);
                let (_, totals) = block_on(run_windowed(windows, timed, &options)).unwrap();
                assert_eq!(
                    totals,
                    expect_windows(windows, timed),
                    "{windows:?} {parallelism}"
                );
            }
        }
    }
}
