//! Options of the workload `windowed`.

use crate::{Baseline, Options, by_hand, verified};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Report, Timed, Windows, count_windows, expect_windows, run_windowed, weight};
use std::error::Error;
use std::hint::black_box;

#[derive(Args)]
pub(crate) struct Windowed {
    /// How many records there are.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How many records there are in a millisecond of event time.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    events_per_ms: u64,
    /// How long a window is.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    size_ms: u64,
    /// How long it is from one window to the next, of which the size is a multiple; the size when it is not said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    slide_ms: Option<u64>,
    /// Windows of activity instead: how long nothing comes between two of them, an odd number; records have even times then,
    /// because one that comes exactly at the end of a session belongs to it or not as watermarks come.
    #[arg(long, conflicts_with_all = ["size_ms", "slide_ms"], value_parser = clap::value_parser!(u64).range(1..))]
    gap_ms: Option<u64>,
    #[command(flatten)]
    options: Options,
}

impl Windowed {
    pub(crate) fn run(self) -> Result<Report, Box<dyn Error>> {
        let windows = self.windows()?;
        let timed = Timed {
            records: self.records,
            keys: self.keys,
            events_per_ms: self.events_per_ms,
            tick_ms: if self.gap_ms.is_some() { 2 } else { 1 },
        };
        let (mut report, totals) = match self.options.baseline {
            Some(Baseline::Plain) => by_hand("hand-written", "windowed", |totals| {
                count_windows(windows, timed, |key, count| {
                    black_box(key);
                    totals.add(weight(count));
                });
                Ok(())
            })?,
            Some(Baseline::Prefetch) => return Err("windowed has no baseline with prefetch".into()),
            None => block_on(run_windowed(windows, timed, &self.options.job()))?,
        };
        // Few results come of many records, which are what takes the time.
        report.records = self.records;
        report.records_per_s = self.records as f64 / report.seconds;
        Ok(verified(report, totals, expect_windows(windows, timed)))
    }

    fn windows(&self) -> Result<Windows, Box<dyn Error>> {
        match (self.gap_ms, self.slide_ms) {
            (Some(gap), _) if gap % 2 == 1 => Ok(Windows::Sessions(gap)),
            (Some(_), _) => Err("the gap must be odd, because the times of the records are even".into()),
            (None, None) => Ok(Windows::Tumbling(self.size_ms)),
            (None, Some(slide)) if self.size_ms.is_multiple_of(slide) => {
                Ok(Windows::Sliding(self.size_ms, slide))
            }
            (None, Some(_)) => Err("the size must be a multiple of the slide".into()),
        }
    }
}
