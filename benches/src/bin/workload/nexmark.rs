//! Options of the workload `nexmark`.

use crate::{Baseline, Options, by_hand, unexpected};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Market, NexmarkReport, Query, nexmark_by_hand, run_nexmark};
use std::error::Error;

#[derive(Args)]
pub(crate) struct Nexmark {
    /// Which query: q and a number.
    #[arg(long, value_parser = query)]
    query: Query,
    /// How many events there are, a multiple of the parallelism.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// How many events there are in a second of event time.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    events_per_second: u64,
    #[command(flatten)]
    options: Options,
}

impl Nexmark {
    pub(crate) fn run(self) -> Result<NexmarkReport, Box<dyn Error>> {
        let (query, market) = (self.query, self.market());
        let (mut report, totals) = match self.options.baseline {
            Some(Baseline::Plain) => by_hand("hand-written", "nexmark", |totals| {
                *totals = nexmark_by_hand(query, market);
                Ok(())
            })?,
            Some(Baseline::Prefetch) => return Err("nexmark has no baseline with prefetch".into()),
            None => block_on(run_nexmark(query, market, &self.options.job()))?,
        };
        let expected = nexmark_by_hand(query, market);
        report.verified = query.agrees(totals, expected);
        if !report.verified {
            unexpected(totals, expected);
        }
        Ok(NexmarkReport::new(query, market, report, totals))
    }

    fn market(&self) -> Market {
        Market {
            events: self.events,
            events_per_second: self.events_per_second,
        }
    }
}

fn query(name: &str) -> Result<Query, String> {
    Query::named(name).ok_or_else(|| {
        let names = Query::ALL.map(Query::name);
        format!("there is no such query, but {}", names.join(", "))
    })
}
