//! Options of the workload `latency`.

use crate::{Options, verified};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Keys, LatencyOptions, LatencyReport, Rate, expect_keyed_sum, run_latency};
use std::error::Error;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Latency {
    /// How many records are due each second.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Instead of a rate: a share of what the same job does at most, measured just before, in per cent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(1..))]
    load: Option<u64>,
    /// How long records come.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long they come before they are measured.
    #[arg(long, default_value_t = 1)]
    warm_up_seconds: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    #[command(flatten)]
    options: Options,
}

impl Latency {
    pub(crate) fn run(self) -> Result<LatencyReport, Box<dyn Error>> {
        if self.options.baseline.is_some() {
            return Err("latency has no baseline".into());
        }
        let warm_up = Duration::from_secs(self.warm_up_seconds);
        let options = LatencyOptions {
            job: self.options.job(),
            rate: self.load.map_or(Rate::PerSecond(self.rate), Rate::Load),
            duration: warm_up + Duration::from_secs(self.seconds),
            warm_up,
            keys: self.keys,
        };
        let (mut report, totals) = block_on(run_latency(&options))?;
        let keys = Keys::Uniform { count: self.keys };
        // What was lost is missed, too.
        let expected = expect_keyed_sum(report.due_records, keys);
        report.report = verified(report.report, totals, expected);
        Ok(report)
    }
}
