//! Whether the output is what it should be, and what to say when it is not.

use super::faults::Faults;
use super::run::Outcome;
use snapline_core::{Data, Error, Result, decode, encode_into};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// How many wrong records are named.
const NAMED: usize = 5;

/// The records that must be visible at the end, each as often as it must be.
#[derive(Debug)]
pub(crate) struct Expected {
    counts: BTreeMap<Vec<u8>, usize>,
    of_type: &'static str,
    show: fn(&[u8]) -> String,
}

impl Expected {
    pub(crate) fn new<T: Data + Debug>(records: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut counts = BTreeMap::new();
        for record in records {
            let mut bytes = Vec::new();
            encode_into(&record, &mut bytes)?;
            *counts.entry(bytes).or_default() += 1;
        }
        Ok(Self {
            counts,
            of_type: std::any::type_name::<T>(),
            show: show::<T>,
        })
    }

    /// The job publishes records of another type, so that no comparison makes sense.
    pub(crate) fn mistaken_type(&self, outcome: &Outcome) -> Option<Error> {
        let types = outcome.world.types();
        let other = types.into_iter().find(|of_type| *of_type != self.of_type)?;
        let mistake =
            "the job publishes records of another type than is expected; write out the types of numbers";
        Some(
            Error::invalid(mistake)
                .with("published", other)
                .with("expected", self.of_type),
        )
    }

    /// What is wrong with a run, if anything.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Option<String> {
        if let Some(failure) = &outcome.failure {
            return Some(failure.clone());
        }
        let mut differences: BTreeMap<&[u8], i64> = BTreeMap::new();
        let visible = outcome.world.visible();
        for record in &visible {
            *differences.entry(record).or_default() += 1;
        }
        for (record, count) in &self.counts {
            *differences.entry(record).or_default() -= *count as i64;
        }
        differences.retain(|_, difference| *difference != 0);
        (!differences.is_empty()).then(|| self.describe(&differences))
    }

    fn describe(&self, differences: &BTreeMap<&[u8], i64>) -> String {
        let missing: i64 = differences.values().filter(|count| **count < 0).sum();
        let surplus: i64 = differences.values().filter(|count| **count > 0).sum();
        let mut text = format!(
            "not exactly once: {} records are missing, {surplus} too many",
            -missing
        );
        for (record, difference) in differences.iter().take(NAMED) {
            let expected = self.counts.get(*record).copied().unwrap_or(0) as i64;
            let record = (self.show)(record);
            text += &format!(
                "\n  {record} is there {} times instead of {expected}",
                expected + difference
            );
        }
        if differences.len() > NAMED {
            text += &format!("\n  and {} more", differences.len() - NAMED);
        }
        text
    }
}

fn show<T: Data + Debug>(bytes: &[u8]) -> String {
    match decode::<T>(bytes) {
        Ok(record) => format!("{record:?}"),
        Err(_) => "a record of another type".to_owned(),
    }
}

/// A seed that shows that a job is not exactly once.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub reason: String,
    /// The faults without which it does not go wrong with this seed.
    pub faults: Faults,
    /// What happened, one line for each barrier, snapshot, commit, crash and fault.
    pub trace: String,
    pub(crate) command: String,
}

impl Failure {
    /// The command that runs this seed again.
    pub fn command(&self) -> &str {
        &self.command
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.trace.is_empty() {
            return write!(f, "the simulation proves nothing: {}", self.reason);
        }
        writeln!(f, "seed {} of the simulation fails: {}", self.seed, self.reason)?;
        writeln!(f, "it takes these faults: {}", self.faults)?;
        writeln!(f, "to see it again, with all of the trace: {}", self.command)?;
        write!(f, "what happened, in virtual time:\n{}", self.trace)
    }
}

impl fmt::Debug for Failure {
    /// For people too: it is what a `main` or an `unwrap` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// What a simulation has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many steps of tasks that were.
    pub steps: u64,
    /// How many checkpoints were triggered before the end of the data.
    pub triggered: u64,
    /// How many checkpoints were completed, the last ones of the jobs included.
    pub checkpoints: u64,
    /// How often a process was killed.
    pub crashes: u64,
    /// How often a task panicked.
    pub panics: u64,
    /// How many calls of the storage failed or took long.
    pub storage_faults: u64,
    /// How many calls of sinks of the world failed or took long.
    pub outside_faults: u64,
    /// How often somebody was about to take a savepoint, or to stop the job.
    pub interventions: u64,
    /// Equal if and only if the same things happened in the same order at the same time.
    pub fingerprint: u64,
}

impl Report {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let (checkpoints, triggered) = outcome.trace.completed();
        self.seeds += 1;
        self.steps += outcome.steps;
        self.checkpoints += checkpoints;
        self.triggered += triggered;
        self.crashes += outcome.met.crashes;
        self.panics += outcome.met.panics;
        self.storage_faults += outcome.met.storage;
        self.outside_faults += outcome.met.outside;
        self.interventions += outcome.met.interventions;
        self.fingerprint = self.fingerprint.rotate_left(5) ^ outcome.trace.fingerprint();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {} steps, {} checkpoints, {} crashes, {} panics, {} storage faults, {} outside faults, {} \
             interventions",
            self.seeds,
            self.steps,
            self.checkpoints,
            self.crashes,
            self.panics,
            self.storage_faults,
            self.outside_faults,
            self.interventions
        )
    }
}
