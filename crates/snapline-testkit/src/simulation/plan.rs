//! The way in: which seeds, which faults, which job, which output.

use super::faults::Faults;
use super::run::{Outcome, run};
use super::settings::Settings;
use super::trace::{Detail, Extent};
use super::verdict::{Expected, Failure, Report};
use super::world::World;
use snapline_core::{AlignmentSettings, Data, Error};
use snapline_dataflow::StreamExecutionEnvironment;
use snapline_state::StateBackend;
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that names the one seed to run.
const SEED_VARIABLE: &str = "SNAPLINE_SIM_SEED";

/// Runs a job once for each seed; see the [module](super).
#[derive(Debug)]
#[must_use = "nothing runs before the expectation is told"]
pub struct Simulation {
    settings: Settings,
}

impl Simulation {
    /// Runs with these seeds, or only with the one that the environment variable `SNAPLINE_SIM_SEED` names.
    pub fn seeds(seeds: Range<u64>) -> Self {
        Self {
            settings: Settings::new(seeds),
        }
    }

    /// How many faults there may be in a run; a few of each kind when not said.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.settings.faults = faults;
        self
    }

    /// How often checkpoints are taken, in virtual time: each 2 ms when not said. The world's source needs some tens of
    /// milliseconds for 100 records.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// The parallelism of the job is drawn from these, once for each seed; from 1 to 4 when not said.
    pub fn parallelism(mut self, parallelism: RangeInclusive<u32>) -> Self {
        self.settings.parallelism = parallelism;
        self.settings.rescale = false;
        self
    }

    /// The parallelism of the job is drawn from these each time its process starts.
    pub fn rescale(mut self, parallelism: RangeInclusive<u32>) -> Self {
        self.settings.parallelism = parallelism;
        self.settings.rescale = true;
        self
    }

    /// How barriers are aligned is drawn from these each time the process starts.
    pub fn alignments(mut self, alignments: impl IntoIterator<Item = AlignmentSettings>) -> Self {
        self.settings.alignments = alignments.into_iter().collect();
        self
    }

    /// Makes the state backend of each process; state in memory when not said. It must use neither threads nor
    /// the time, and its state is lost with the process.
    pub fn state_backend<B: StateBackend>(mut self, backend: impl Fn() -> B + 'static) -> Self {
        self.settings.backend = Box::new(move || Arc::new(backend()));
        self
    }

    /// A job that has not ended after so many steps of its tasks never will.
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.settings.step_limit = steps;
        self
    }

    /// How many checkpoints there must be over all seeds, the last ones of the jobs aside; 1 when not said. A job
    /// that takes none proves nothing.
    pub fn at_least_checkpoints(mut self, checkpoints: u64) -> Self {
        self.settings.at_least_checkpoints = checkpoints;
        self
    }

    /// The program: describes its streams on the environment, which is then executed. Called again each time its
    /// process starts.
    pub fn run<F: Fn(&StreamExecutionEnvironment, &World)>(self, program: F) -> Simulated<F> {
        Simulated {
            settings: self.settings,
            program,
        }
    }
}

/// A simulation of a program.
#[derive(Debug)]
#[must_use = "nothing runs before the expectation is told"]
pub struct Simulated<F> {
    settings: Settings,
    program: F,
}

impl<F: Fn(&StreamExecutionEnvironment, &World)> Simulated<F> {
    /// Runs all seeds. These records, in any order, must be visible at the end of each.
    ///
    /// # Panics
    /// With the first [`Failure`].
    pub fn expect_exactly_once<T: Data + Debug>(self, expected: impl IntoIterator<Item = T>) -> Report {
        match self.check_exactly_once(expected) {
            Ok(report) => report,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Runs all seeds until one fails.
    ///
    /// # Errors
    /// The first failure.
    pub fn check_exactly_once<T: Data + Debug>(
        self,
        expected: impl IntoIterator<Item = T>,
    ) -> Result<Report, Box<Failure>> {
        let chosen = chosen_seed();
        let seeds = chosen.map_or(self.settings.seeds.clone(), |seed| seed..seed.saturating_add(1));
        let expected = Expected::new(expected).map_err(|error| self.unable(&error))?;
        let mut report = Report::default();
        for seed in seeds {
            let outcome = self.run(seed, self.settings.faults, Detail::Hash);
            if let Some(mistake) = expected.mistaken_type(&outcome) {
                return Err(self.unable(&mistake));
            }
            if expected.judge(&outcome).is_some() {
                return Err(Box::new(self.explain(seed, &expected)));
            }
            report.add(&outcome);
        }
        let enough = report.triggered >= self.settings.at_least_checkpoints;
        if chosen.is_none() && report.seeds > 0 && !enough {
            let error = Error::invalid(
                "too few checkpoints were taken to prove anything; give the job more records, or shorten the \
                 checkpoint interval",
            );
            return Err(self.unable(&error.with("checkpoints", report.triggered)));
        }
        Ok(report)
    }

    fn run(&self, seed: u64, faults: Faults, detail: Detail) -> Outcome {
        run(&self.settings, seed, faults, detail, &self.program)
    }

    /// Runs a seed that has failed again, with as few faults as possible, and writes everything down.
    fn explain(&self, seed: u64, expected: &Expected) -> Failure {
        let fails = |faults: &Faults| expected.judge(&self.run(seed, *faults, Detail::Hash)).is_some();
        let mut faults = self.settings.faults;
        while let Some(fewer) = faults.with_one_kind_less().find(fails) {
            faults = fewer;
        }
        let outcome = self.run(seed, faults, Detail::Lines);
        let reason = expected.judge(&outcome);
        let extent = chosen_seed().map_or(Extent::Ends, |_| Extent::All);
        Failure {
            seed,
            reason: reason.unwrap_or_else(|| NOT_REPEATABLE.to_owned()),
            faults,
            trace: outcome.trace.text(extent),
            command: command(seed),
        }
    }

    fn unable(&self, error: &Error) -> Box<Failure> {
        Box::new(Failure {
            seed: self.settings.seeds.start,
            reason: error.to_string(),
            faults: self.settings.faults,
            trace: String::new(),
            command: command(self.settings.seeds.start),
        })
    }
}

const NOT_REPEATABLE: &str = "it failed once and not again, so the job is not the same each time: it must not read the \
     time, draw random numbers, iterate over a HashMap, or start threads";

fn chosen_seed() -> Option<u64> {
    std::env::var(SEED_VARIABLE).ok()?.trim().parse().ok()
}

/// The test that is running is known by the name of its thread.
fn command(seed: u64) -> String {
    let thread = std::thread::current();
    let package =
        std::env::var("CARGO_PKG_NAME").map_or_else(|_| String::new(), |name| format!(" -p {name}"));
    match thread.name().filter(|name| *name != "main") {
        Some(test) => format!("{SEED_VARIABLE}={seed} cargo test{package} {test}"),
        None => format!("{SEED_VARIABLE}={seed} with the command of this time"),
    }
}
