//! A job that counts what the test sends to it.

use crate::support::wait_for;
use futures::executor::block_on;
use snapline::connector::{ChannelSender, Collected, Sink};
use snapline::prelude::*;
use std::collections::BTreeMap;

/// Counts numbers by their remainder and emits the counts at the end. The environment takes checkpoints.
pub(crate) struct Counting {
    feed: ChannelSender<u64>,
    job: JobHandle,
    results: Collected<(u64, u64)>,
}

impl Counting {
    pub(crate) fn start(env: &StreamExecutionEnvironment, name: &str, keys: u64) -> Self {
        let (sink, results) = CollectSink::new();
        let (feed, job) = launch(env, name, keys, sink);
        Self { feed, job, results }
    }

    pub(crate) fn job(&self) -> &JobHandle {
        &self.job
    }

    /// Returns when all are counted and in a checkpoint.
    pub(crate) fn send(&self, numbers: std::ops::Range<u64>) {
        self.feed(numbers);
        let done = self.job.status().checkpoints.completed;
        wait_for(&self.job, |status| status.checkpoints.completed > done + 1);
    }

    /// Returns when all are read.
    pub(crate) fn feed(&self, numbers: std::ops::Range<u64>) {
        let until = self.job.status().records + (numbers.end - numbers.start);
        for number in numbers {
            block_on(self.feed.send(number)).unwrap();
        }
        wait_for(&self.job, |status| status.records >= until);
    }

    /// As a crash would: nothing is written any more.
    pub(crate) fn stop(self) {
        self.job.cancel();
        let _ = block_on(self.job.wait());
    }

    /// Ends the input and returns the counts.
    pub(crate) fn finish(self) -> BTreeMap<u64, u64> {
        drop(self.feed);
        block_on(self.job.wait()).unwrap();
        self.results.take().into_iter().collect()
    }
}

/// The same job with another sink.
pub(crate) fn launch(
    env: &StreamExecutionEnvironment,
    name: &str,
    keys: u64,
    sink: impl Sink<(u64, u64)>,
) -> (ChannelSender<u64>, JobHandle) {
    let (feed, source) = ChannelSource::bounded(1 << 16);
    env.from_source(source, "numbers")
        .map(move |number| (number % keys, 1))
        .key_by(|(key, _)| *key)
        .emit(Emit::Final)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(sink)
        .uid("results");
    (feed, block_on(env.execute_async(name)).unwrap())
}

/// What the counts of so many keys are after the numbers from 0 up to each of these.
pub(crate) fn counts_after(sent: &[u64], keys: u64) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for number in sent.iter().flat_map(|sent| 0..*sent) {
        *counts.entry(number % keys).or_default() += 1;
    }
    counts
}
