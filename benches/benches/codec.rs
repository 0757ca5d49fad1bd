//! What each codec makes of state files, and how long it takes: numbers counted by numbers, and words counted.
//!
//! Throughput is that of plain bytes. Without the feature `zstd` that codec is left out.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a measurement that cannot be made is of no use; lengths are no times"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use futures::executor::block_on;
use serde::Serialize;
use serde_json::json;
use snapline::prelude::MemoryCheckpointStorage;
use snapline_benches::mix;
use snapline_core::{Codec, KeyGroupRange};
use snapline_state::{
    BlockWriter, CheckpointStorage, Entry, HandleKind, SnapshotTarget, StateHandle, StorageKey, TableId,
    TableMeta, block_channel, check_codec, read_blocks,
};
use std::hint::black_box;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CODECS: [(&str, Codec); 3] = [("none", Codec::None), ("lz4", Codec::Lz4), ("zstd", Codec::Zstd)];

/// So many keys have a count each.
const KEYS: u64 = 1_000_000;

/// As many entries as a backend writes at a time, about.
const AT_ONCE: usize = 1_000;

const TABLE: TableId = TableId(0);

/// Encoded entries.
type Entries = Vec<(u32, Vec<u8>)>;

fn numbers() -> Entries {
    encoded((0..KEYS).map(|key| (key, mix(key) % 10_000)))
}

fn words() -> Entries {
    let word = |key: u64| format!("{}-{}", mix(key) % 1_000, key);
    encoded((0..KEYS).map(|key| (word(key), mix(key) % 10_000)))
}

fn encoded<K: Serialize>(entries: impl Iterator<Item = (K, u64)>) -> Entries {
    let entries: Vec<(K, u64)> = entries.collect();
    let chunk = |entries: &[(K, u64)]| {
        let mut payload = Vec::new();
        for (key, value) in entries {
            Entry::encode(key, value, &mut payload).unwrap();
        }
        (entries.len() as u32, payload)
    };
    entries.chunks(AT_ONCE).map(chunk).collect()
}

fn meta() -> TableMeta {
    let meta = json!({"name": "counts", "version": 1, "key_type": "K", "value_type": "u64"});
    serde_json::from_value(meta).unwrap()
}

fn write(storage: &Arc<dyn CheckpointStorage>, entries: &Entries, codec: Codec) -> StateHandle {
    let (sender, receiver) = block_channel();
    let mut writer = BlockWriter::new(sender);
    writer.begin_table(TABLE, &meta()).unwrap();
    for (count, payload) in entries {
        writer.append(TABLE, KeyGroupRange::new(0, 128), *count, payload);
    }
    writer.finish();
    let prefix = StorageKey::new("codec").unwrap();
    let target = SnapshotTarget::new(storage.clone(), prefix).compressed_by(codec);
    block_on(target.write_blocks("keyed", receiver, HandleKind::Full, None)).unwrap()
}

fn read(storage: &Arc<dyn CheckpointStorage>, handle: &StateHandle) -> usize {
    block_on(read_blocks(&**storage, handle).map(Result::unwrap).count())
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.sample_size(10);
    for (state, entries) in [("numbers", numbers()), ("words", words())] {
        let plain: usize = entries.iter().map(|(_, payload)| payload.len()).sum();
        group.throughput(Throughput::Bytes(plain as u64));
        for (name, codec) in CODECS {
            if check_codec(codec).is_err() {
                continue;
            }
            let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryCheckpointStorage::new());
            let handle = write(&storage, &entries, codec);
            eprintln!("{state}, {name}: {} of {plain} bytes", handle.len);
            let id = |way: &str| BenchmarkId::new(format!("{state}, {way}"), name);
            group.bench_function(id("write"), |bencher| {
                bencher.iter(|| black_box(write(&storage, &entries, codec)));
            });
            group.bench_function(id("read"), |bencher| {
                bencher.iter(|| black_box(read(&storage, &handle)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
