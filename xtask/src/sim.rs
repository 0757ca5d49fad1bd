//! `cargo xtask sim`: the simulated jobs with more seeds than CI has time for.

use crate::workspace::cargo;
use clap::Args;

/// How many seeds, and of which jobs.
#[derive(Args)]
pub(crate) struct Options {
    /// With how many seeds each job is run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The job; all of them when unset.
    #[arg(long)]
    job: Option<String>,
    /// Builds optimized first: worth it from some ten thousand seeds on.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let mut command = cargo();
    command.args(["test", "--package", "snapline-testkit", "--test", "simulation"]);
    if options.release {
        command.arg("--release");
    }
    command.args(["--", "--nocapture"]);
    match &options.job {
        Some(job) => command.args(["--exact", job]),
        None => command.args(["--skip", "broken::", "--skip", "promises::"]),
    };
    command
        .env("SNAPLINE_SIM_FROM", options.from.to_string())
        .env("SNAPLINE_SIM_SEEDS", options.seeds.to_string());
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        return Ok("no seed fails".to_owned());
    }
    Err("a seed fails; the output above names it and the command that runs it again".to_owned())
}
