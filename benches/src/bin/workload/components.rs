//! Options of the workload `loop`.

use crate::{Baseline, Options, by_hand, verified};
use clap::Args;
use futures::executor::block_on;
use snapline_benches::{Graph, Report, expect_components, membership, run_components, union_find};
use std::error::Error;

#[derive(Args)]
pub(crate) struct Components {
    /// How many vertices there are.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    vertices: u64,
    /// How many edges there are.
    #[arg(long, default_value_t = 2_000_000)]
    edges: u64,
    #[command(flatten)]
    options: Options,
}

impl Components {
    pub(crate) fn run(self) -> Result<Report, Box<dyn Error>> {
        let graph = Graph {
            vertices: self.vertices,
            edges: self.edges,
        };
        let (report, totals) = match self.options.baseline {
            Some(Baseline::Plain) => by_hand("hand-written", "loop", |totals| {
                union_find(graph, |vertex, label| totals.add(membership(vertex, label)));
                Ok(())
            })?,
            Some(Baseline::Prefetch) => return Err("loop has no baseline with prefetch".into()),
            None => block_on(run_components(graph, &self.options.job()))?,
        };
        Ok(verified(report, totals, expect_components(graph)))
    }
}
