//! Crash-test your own sink: a simulation kills the job at every moment, and a seed repeats what it found.
//!
//! The ledger is where entries must stand exactly once. The eager sink writes them as they come: right until the first
//! crash, after which the job writes again what it had written since its last checkpoint. The patient sink writes them
//! when their checkpoint is complete, and knows by a number what the ledger has already. On standard error is
//! what the simulation says of the eager one: the seed, how to run it again, and each barrier, commit and crash.
//!
//! ```text
//! cargo run -p snapline-examples --bin crash_test
//! ```
//!
//! Expected output:
//!
//! ```text
//! the eager sink: not exactly once
//! the patient sink: exactly once, over 100 seeds with crashes
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program, not a library"
)]

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use snapline::Result;
use snapline::connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline::core::{AttemptId, Batch, CheckpointId, SubtaskIndex};
use snapline_testkit::simulation::{Failure, Output, Report, Simulation, World};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

type Entry = (String, u64);

/// Who has pre-committed some entries and when, and the entries.
type Part = ((AttemptId, SubtaskIndex, CheckpointId), Vec<Entry>);

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Eager,
    Patient,
}

#[derive(Clone)]
struct LedgerSink {
    manner: Manner,
    /// What everybody sees.
    ledger: Output<Entry>,
    /// The parts that the ledger has. It is outside of the process, as the ledger is.
    known: Arc<Mutex<BTreeSet<(AttemptId, SubtaskIndex, CheckpointId)>>>,
}

impl LedgerSink {
    fn new(world: &World, manner: Manner) -> Self {
        Self {
            manner,
            ledger: world.output(),
            known: world.keep(),
        }
    }
}

impl Sink<Entry> for LedgerSink {
    type Committable = Part;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<Entry, Part>>> {
        Ok(Box::new(LedgerWriter {
            sink: self.clone(),
            context,
            entries: Vec::new(),
        }))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<Part>>> {
        Ok(Box::new(self.clone()))
    }
}

struct LedgerWriter {
    sink: LedgerSink,
    context: WriterContext,
    entries: Vec<Entry>,
}

impl SinkWriter<Entry, Part> for LedgerWriter {
    fn write(&mut self, batch: &mut Batch<Entry>) -> Result<()> {
        if self.sink.manner == Manner::Eager {
            return self.sink.ledger.publish(batch.records.drain(..));
        }
        self.entries.append(&mut batch.records);
        Ok(())
    }

    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<Part>>>> {
        let name = (self.context.attempt, self.context.subtask, checkpoint);
        let part = (name, std::mem::take(&mut self.entries));
        Ok(ready(Ok(vec![part])).boxed())
    }
}

#[async_trait]
impl Committer<Part> for LedgerSink {
    async fn commit(&mut self, parts: Vec<Part>) -> Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, entries) in parts {
            if known.insert(name) {
                self.ledger.publish(entries)?;
            }
        }
        Ok(())
    }
}

/// Counts visits in a job that knows nothing of the simulation but its source.
fn crash_test(manner: Manner) -> Result<Report, Box<Failure>> {
    let visits = (0..80).map(|visit| if visit % 4 == 0 { "home" } else { "shop" });
    let counted = (1..=20_u64).map(|count| ("home".to_owned(), count));
    let counted = counted.chain((1..=60_u64).map(|count| ("shop".to_owned(), count)));
    Simulation::seeds(0..100)
        .run(|env, world| {
            env.from_source(world.source(visits.clone().map(str::to_owned)), "visits")
                .map(|page| (page, 1_u64))
                .key_by(|(page, _)| page.clone())
                .sum(|(_, count)| count)
                .sink_to(LedgerSink::new(world, manner));
        })
        .check_exactly_once(counted)
}

fn main() -> Result<(), Box<Failure>> {
    match crash_test(Manner::Eager) {
        Ok(_) => println!("the eager sink: nothing was found"),
        Err(failure) => {
            eprintln!("{failure}");
            let what = failure.reason.split(':').next().unwrap_or_default();
            println!("the eager sink: {what}");
        }
    }
    let report = crash_test(Manner::Patient)?;
    let crashes = if report.crashes > 0 {
        "with crashes"
    } else {
        "without a crash"
    };
    println!(
        "the patient sink: exactly once, over {} seeds {crashes}",
        report.seeds
    );
    Ok(())
}
