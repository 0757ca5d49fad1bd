//! Options of the workload `idle`.

use crate::Options;
use clap::{Args, ValueEnum};
use futures::executor::block_on;
use snapline_benches::{IdleReport, Shape, run_idle};
use std::error::Error;

#[derive(Args)]
pub(crate) struct Idle {
    /// How the tasks are connected.
    #[arg(long, value_enum, default_value_t = Connected::Chain)]
    shape: Connected,
    /// After how many checkpoints it ends.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoints: u64,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, ValueEnum)]
enum Connected {
    /// Not at all: one task for each subtask.
    Chain,
    /// Two tasks for each subtask, all with all.
    Shuffle,
}

impl Idle {
    pub(crate) fn run(self) -> Result<IdleReport, Box<dyn Error>> {
        if self.options.baseline.is_some() {
            return Err("idle has no baseline".into());
        }
        if self.options.checkpoint_interval_ms == 0 {
            return Err("idle ends after some checkpoints; give it an interval above 0".into());
        }
        let shape = match self.shape {
            Connected::Chain => Shape::Chain,
            Connected::Shuffle => Shape::Shuffle,
        };
        Ok(block_on(run_idle(shape, self.checkpoints, &self.options.job()))?)
    }
}
