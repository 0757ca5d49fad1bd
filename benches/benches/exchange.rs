//! What it costs to deal a batch of records out by key to the batches of other tasks, by size of the record and number of
//! tasks, and what it costs before to hash their keys, by the length of their encoding.
//!
//! Each batch that is dealt out is filled from a prepared one, which is part of what is measured, as "copied" is alone. The
//! receiving end takes nothing from a batch and gives it back.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline::Result;
use snapline::dataflow::{Next, OutputPort, OutputSettings, Partitioning, PortSignal};
use snapline::prelude::*;
use snapline_benches::mix;
use snapline_core::{Batch, BoxedBatch, Keyed, MaxParallelism, StableHasher};
use std::hint::black_box;
use std::task::{Context, Poll};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many records as a batch of a job has.
const BATCH: usize = 1_024;

type Record<const WORDS: usize> = Keyed<u64, [u64; WORDS]>;

/// Channels whose receivers give each batch back at once.
struct GivesBack<const WORDS: usize> {
    channels: usize,
}

impl<const WORDS: usize> OutputPort for GivesBack<WORDS>
where
    [u64; WORDS]: Serialize + DeserializeOwned,
{
    fn channels(&self) -> usize {
        self.channels
    }

    fn send_batch(&mut self, _: usize, batch: BoxedBatch) -> Option<BoxedBatch> {
        let mut batch = batch.into_any().downcast::<Batch<Record<WORDS>>>().ok()?;
        black_box(&mut batch).clear();
        Some(batch)
    }

    fn send_to_all(&mut self, _: PortSignal) {}

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end of a task that deals records of this size out by key.
fn output<const WORDS: usize>(channels: usize) -> Next<Record<WORDS>>
where
    [u64; WORDS]: Serialize + DeserializeOwned,
{
    let env = StreamExecutionEnvironment::builder().fresh().build().unwrap();
    env.from_source(GeneratorSource::new(0, |number| [number; WORDS]), "records")
        .key_by(|record| record[0])
        .process_with(|_| |_, _, _: &mut Collector<'_, u64>| Ok(()))
        .sink_to(DiscardSink);
    let graph = env.plan("exchange").unwrap();
    let outputs = graph.nodes.iter().filter_map(|node| node.node.output.as_ref());
    let settings = OutputSettings {
        partitioning: Partitioning::Hash,
        max_parallelism: MaxParallelism::DEFAULT,
        batch_records: BATCH,
        seed: 0,
    };
    let mut links = outputs.filter_map(|output| {
        let port = Box::new(GivesBack::<WORDS> { channels });
        output.output(settings, port).typed().ok()
    });
    links.next().unwrap()
}

fn prepared<const WORDS: usize>() -> Batch<Record<WORDS>> {
    let record = |number| Keyed {
        key: mix(number),
        record: [number; WORDS],
    };
    let records: Vec<_> = (0..BATCH as u64).map(record).collect();
    let mut hashes = Vec::new();
    let keys = records.iter().map(|keyed| &keyed.key);
    StableHasher::new().hash_each(keys, &mut hashes).unwrap();
    Batch {
        hashes: Some(hashes),
        ..Batch::from(records)
    }
}

fn fill<const WORDS: usize>(batch: &mut Batch<Record<WORDS>>, from: &Batch<Record<WORDS>>)
where
    [u64; WORDS]: Copy,
{
    batch.records.extend_from_slice(&from.records);
    let hashes = from.hashes.iter().flatten();
    batch.hashes.get_or_insert_default().extend(hashes);
}

fn deal<const WORDS: usize>(criterion: &mut Criterion)
where
    [u64; WORDS]: Serialize + DeserializeOwned,
{
    let mut group = criterion.benchmark_group(format!("exchange by key, {} bytes", 8 * WORDS));
    group.throughput(Throughput::Elements(BATCH as u64));
    let from = prepared::<WORDS>();
    let mut batch = Batch::new();
    group.bench_function("copied", |bencher| {
        bencher.iter(|| {
            fill(&mut batch, &from);
            black_box(&mut batch).clear();
        });
    });
    for channels in [2, 4, 16] {
        let mut output = output::<WORDS>(channels);
        group.bench_function(BenchmarkId::new("channels", channels), |bencher| {
            bencher.iter(|| {
                fill(&mut batch, &from);
                output.on_batch(&mut batch).unwrap();
            });
        });
    }
    group.finish();
}

/// Keys of which each takes so many bytes.
fn hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash of a key");
    group.throughput(Throughput::Elements(BATCH as u64));
    let numbers = |below: u64| {
        (0..BATCH as u64)
            .map(|number| mix(number) % below)
            .collect::<Vec<_>>()
    };
    for (name, below) in [
        ("2 bytes", 1 << 14),
        ("3 to 4 bytes", 1 << 28),
        ("9 to 10 bytes", u64::MAX),
    ] {
        let (keys, mut hasher, mut hashes) = (numbers(below), StableHasher::new(), Vec::new());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                hashes.clear();
                hasher.hash_each(black_box(&keys).iter(), &mut hashes).unwrap();
                black_box(&mut hashes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hash, deal::<1>, deal::<2>, deal::<16>);
criterion_main!(benches);
