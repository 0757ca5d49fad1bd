//! Options of the workload `exchange`.

use crate::{Baseline, Options, by_hand, in_two_threads, verified};
use clap::{Args, ValueEnum};
use futures::executor::block_on;
use serde::Serialize;
use snapline_benches::{
    Dealing, ExchangeOptions, RecordSize, Report, expect_exchange, run_exchange, two_thread_exchange,
};
use std::error::Error;

#[derive(Args)]
pub(crate) struct Exchange {
    /// How many records there are.
    #[arg(long, default_value_t = 20_000_000)]
    records: u64,
    /// How large each of them is.
    #[arg(long, value_enum, default_value_t = Bytes::Sixteen)]
    record_bytes: Bytes,
    /// How they are dealt out; by hand always by key.
    #[arg(long, value_enum, default_value_t = By::Key)]
    by: By,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bytes {
    #[value(name = "8")]
    Eight,
    #[value(name = "16")]
    Sixteen,
    #[value(name = "128")]
    Many,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// All records of a key go to the same subtask.
    Key,
    /// Each record goes to the next subtask.
    Turn,
}

/// The figures of one run.
#[derive(Serialize)]
pub(crate) struct ExchangeReport {
    #[serde(flatten)]
    report: Report,
    record_bytes: u64,
}

impl Exchange {
    pub(crate) fn run(self) -> Result<ExchangeReport, Box<dyn Error>> {
        let (record_bytes, size) = match self.record_bytes {
            Bytes::Eight => (8, RecordSize::Bytes8),
            Bytes::Sixteen => (16, RecordSize::Bytes16),
            Bytes::Many => (128, RecordSize::Bytes128),
        };
        let options = ExchangeOptions {
            job: self.options.job(),
            records: self.records,
            size,
            dealing: match self.by {
                By::Key => Dealing::ByKey,
                By::Turn => Dealing::InTurn,
            },
        };
        let (report, totals) = match self.options.baseline {
            Some(Baseline::Plain) => {
                in_two_threads(by_hand("hand-written, two threads", "exchange", |totals| {
                    *totals = two_thread_exchange(self.records, size);
                    Ok(())
                })?)
            }
            Some(Baseline::Prefetch) => return Err("exchange has no baseline with prefetch".into()),
            None => block_on(run_exchange(&options))?,
        };
        let report = verified(report, totals, expect_exchange(self.records, size));
        Ok(ExchangeReport { report, record_bytes })
    }
}
