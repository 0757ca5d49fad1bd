//! Options of the workload `rescale`.

use crate::{Options, verified};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Keys, RescaleOptions, RescaleReport, expect_keyed_sum, run_rescale};
use std::error::Error;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Rescale {
    /// How many records come in a second.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// How long the job has each parallelism, in milliseconds.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    phase_ms: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    #[command(flatten)]
    options: Options,
}

impl Rescale {
    pub(crate) fn run(self) -> Result<RescaleReport, Box<dyn Error>> {
        if self.options.baseline.is_some() {
            return Err("rescale has no baseline".into());
        }
        let options = RescaleOptions {
            job: self.options.job(),
            rate: self.rate,
            phase: Duration::from_millis(self.phase_ms),
            keys: self.keys,
        };
        let (mut report, totals) = block_on(run_rescale(&options))?;
        let keys = Keys::Uniform { count: self.keys };
        let expected = expect_keyed_sum(options.records(), keys);
        report.report = verified(report.report, totals, expected);
        Ok(report)
    }
}
