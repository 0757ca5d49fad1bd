//! State files that are compressed.

use crate::counting::{Counting, counts_after};
use crate::valve::newest_manifest;
use futures::executor::block_on;
use snapline::core::{Codec, ErrorKind};
use snapline::prelude::*;
use snapline::state::{CheckpointStorage, Envelope, StateLocation, check_codec};
use std::collections::BTreeSet;
use std::time::Duration;

const KEYS: u64 = 20_000;

fn environment(storage: &MemoryCheckpointStorage, codec: Codec) -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(storage.clone())
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.compression = codec;
        }
    });
    env
}

/// The codecs of the files of the newest checkpoint.
fn codecs(storage: &MemoryCheckpointStorage) -> BTreeSet<String> {
    let manifest = newest_manifest(storage);
    let mut codecs = BTreeSet::new();
    for handle in manifest.handles() {
        if let StateLocation::File { key, .. } = &handle.location {
            let file = block_on(storage.get(key, None)).unwrap().unwrap();
            codecs.insert(format!("{:?}", Envelope::decode(&file).unwrap().codec));
        }
    }
    codecs
}

#[test]
fn a_job_goes_on_whatever_its_state_files_are_compressed_by() {
    let storage = MemoryCheckpointStorage::new();
    let mut sent = Vec::new();
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd, Codec::None] {
        if check_codec(codec).is_err() {
            continue;
        }
        let job = Counting::start(&environment(&storage, codec), "counting", KEYS);
        // All keys change: the next checkpoints are full.
        for count in [KEYS; 2] {
            job.send(0..count);
            sent.push(count);
        }
        job.stop();
        assert_eq!(codecs(&storage), BTreeSet::from([format!("{codec:?}")]));
    }
    let job = Counting::start(&environment(&storage, Codec::default()), "counting", KEYS);
    assert_eq!(job.finish(), counts_after(&sent, KEYS));
}

#[test]
fn a_codec_that_the_program_is_built_without_is_refused_before_the_job_starts() {
    if check_codec(Codec::Zstd).is_ok() {
        return;
    }
    let env = environment(&MemoryCheckpointStorage::new(), Codec::Zstd);
    env.from_source(SequenceSource::new(0..10), "numbers")
        .sink_to(DiscardSink);
    let error = block_on(env.execute("refused")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("feature `zstd`"), "{error}");
}
