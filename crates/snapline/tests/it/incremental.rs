//! Checkpoints that store only what has changed.

use crate::support::wait_for;
use crate::valve::newest_manifest;
use futures::executor::block_on;
use snapline::connector::{ChannelSender, Collected};
use snapline::coordinator::Manifest;
use snapline::prelude::*;
use snapline::state::HandleKind;
use std::collections::BTreeMap;
use std::time::Duration;

const KEYS: u64 = 40_000;

/// A job that counts what the test sends to it, with a checkpoint each few milliseconds.
struct Counting {
    feed: ChannelSender<u64>,
    job: JobHandle,
    results: Collected<(u64, u64)>,
}

impl Counting {
    fn start(storage: &MemoryCheckpointStorage, parallelism: u32, retained: u32) -> Self {
        let env = StreamExecutionEnvironment::builder()
            .parallelism(parallelism)
            .checkpoint_storage(storage.clone())
            .build()
            .unwrap();
        env.enable_checkpointing(Duration::from_millis(5));
        env.configure(|settings| {
            if let Some(checkpoints) = &mut settings.checkpoints {
                checkpoints.retained = retained as _;
            }
        });
        let (feed, source) = ChannelSource::bounded(1 << 16);
        let (sink, results) = CollectSink::new();
        env.from_source(source, "numbers")
            .map(|number| (number % KEYS, 1))
            .key_by(|(key, _)| *key)
            .emit(snapline::dataflow::Emit::Final)
            .sum(|(_, count)| count)
            .uid("counts")
            .sink_to(sink)
            .uid("results");
        let job = block_on(env.execute_async("counting")).unwrap();
        Self { feed, job, results }
    }

    fn send(&self, numbers: std::ops::Range<u64>) {
        let until = self.job.status().records + (numbers.end - numbers.start);
        for number in numbers {
            block_on(self.feed.send(number)).unwrap();
        }
        wait_for(&self.job, |status| status.records >= until);
        let done = self.job.status().checkpoints.completed;
        wait_for(&self.job, |status| status.checkpoints.completed > done + 1);
    }

    fn finish(self) -> BTreeMap<u64, u64> {
        drop(self.feed);
        block_on(self.job.wait()).unwrap();
        self.results.take().into_iter().collect()
    }
}

/// Whether a checkpoint has stored little, and refers to the rest.
fn is_short(manifest: &Manifest) -> bool {
    let operators = manifest.operators.values();
    let mut handles = operators
        .flat_map(|operator| &operator.subtasks)
        .flat_map(|subtask| &subtask.keyed);
    let sizes = manifest.sizes;
    handles.any(|handle| handle.kind == HandleKind::Delta) && sizes.written * 20 < sizes.total
}

/// What the counts are after the numbers from 0 up to each of these.
fn counts_after(sent: &[u64]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for number in sent.iter().flat_map(|sent| 0..*sent) {
        *counts.entry(number % KEYS).or_default() += 1;
    }
    counts
}

#[test]
fn a_checkpoint_after_few_changes_is_short_and_holds_everything() {
    for retained in [1, 3] {
        let storage = MemoryCheckpointStorage::new();
        let first = Counting::start(&storage, 1, retained);
        first.send(0..KEYS);
        // While the keys came in, deltas were long; after a few full snapshots they are tried again.
        let mut sent = vec![KEYS];
        while !is_short(&newest_manifest(&storage)) {
            assert!(sent.len() < 60, "{:?}", newest_manifest(&storage));
            first.send(0..100);
            sent.push(100);
        }
        stop(first);

        for parallelism in [1, 2, 3, 1] {
            let again = Counting::start(&storage, parallelism, retained);
            again.send(0..200);
            again.send(0..300);
            sent.extend([200, 300]);
            stop(again);
        }
        let last = Counting::start(&storage, 2, retained);
        assert_eq!(
            last.finish(),
            counts_after(&sent),
            "{retained} checkpoints are retained"
        );
    }
}

/// As a crash would: nothing is written any more.
fn stop(counting: Counting) {
    counting.job.cancel();
    let _ = block_on(counting.job.wait());
}
