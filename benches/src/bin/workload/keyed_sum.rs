//! Options of the workload `keyed-sum`.

use crate::{Baseline, Options, by_hand, in_two_threads, verified};
use clap::{Args, ValueEnum};
use futures::executor::block_on;
use snapline_benches::{
    Keys, PlainSums, PrefetchedSums, Report, expect_keyed_sum, naive_keyed_sum, prefetched_keyed_sum,
    run_keyed_sum, two_thread_keyed_sum,
};
use std::error::Error;
use std::hint::black_box;

#[derive(Args)]
pub(crate) struct KeyedSum {
    /// How many records there are.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How often each comes.
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    distribution: Distribution,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, ValueEnum)]
enum Distribution {
    /// Each key as often as any other.
    Uniform,
    /// Few keys often, by Zipf's law.
    Zipf,
}

impl KeyedSum {
    pub(crate) fn run(self) -> Result<Report, Box<dyn Error>> {
        let (records, keys) = (self.records, self.keys);
        let drawn = match self.distribution {
            Distribution::Uniform => Keys::Uniform { count: keys },
            Distribution::Zipf if self.options.baseline.is_some() => {
                return Err("the baselines of keyed-sum have uniform keys".into());
            }
            Distribution::Zipf => Keys::Zipf { count: keys },
        };
        let (report, totals) = match self.options.baseline {
            Some(Baseline::Plain) if self.options.parallelism == 2 => {
                in_two_threads(by_hand("hand-written, two threads", "keyed-sum", |totals| {
                    *totals = two_thread_keyed_sum::<PlainSums>(records, keys);
                    Ok(())
                })?)
            }
            Some(Baseline::Prefetch) if self.options.parallelism == 2 => in_two_threads(by_hand(
                "hand-written, prefetch, two threads",
                "keyed-sum",
                |totals| {
                    *totals = two_thread_keyed_sum::<PrefetchedSums>(records, keys);
                    Ok(())
                },
            )?),
            Some(Baseline::Plain) => by_hand("hand-written", "keyed-sum", |totals| {
                naive_keyed_sum(records, keys, |key, sum| {
                    black_box(key);
                    totals.add(sum);
                });
                Ok(())
            })?,
            Some(Baseline::Prefetch) => by_hand("hand-written, prefetch", "keyed-sum", |totals| {
                prefetched_keyed_sum(records, keys, |key, sum| {
                    black_box(key);
                    totals.add(sum);
                });
                Ok(())
            })?,
            None => block_on(run_keyed_sum(records, drawn, &self.options.job()))?,
        };
        Ok(verified(report, totals, expect_keyed_sum(records, drawn)))
    }
}
