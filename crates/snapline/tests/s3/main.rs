//! Whole jobs whose checkpoints lie on a real server that speaks S3, behind a network that breaks.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../it/counting.rs"]
#[allow(dead_code, reason = "the jobs here need a part of it")]
mod counting;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the jobs here need a part of it")]
mod support;

use counting::{Counting, counts_after};
use futures::executor::block_on;
use snapline::backends::file::{FileCheckpointStorage, FileStateBackend};
use snapline::connectors::object::ObjectSink;
use snapline::core::ErrorKind;
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline::state::CheckpointStorage;
use snapline_state_object::{ObjectCheckpointStorage, ObjectStorageBuilder, Retries};
use snapline_testkit::fault::Schedule;
use snapline_testkit::services::{S3, Unreliable, skip};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use support::{assert_exactly_once, count_by_remainder, panic_at, run, wait_for};

const KEYS: u64 = 20_000;

/// A place on the server that nobody has used, reached through the network.
fn place(server: &S3, network: &Unreliable) -> impl Fn() -> ObjectStorageBuilder {
    let unique = RandomState::new().hash_one(std::process::id());
    let url = format!("s3://{}/jobs/{unique:x}", server.bucket());
    let (endpoint, is_own) = (network.endpoint(), server.is_own());
    move || {
        let builder = ObjectCheckpointStorage::builder(&url)
            .option("aws_endpoint", &endpoint)
            .option("allow_http", "true")
            .retries(retries(Duration::from_secs(60)));
        if !is_own {
            return builder;
        }
        builder
            .option("access_key_id", "key")
            .option("secret_access_key", "secret")
            .option("region", "us-east-1")
    }
}

fn retries(longest: Duration) -> Retries {
    Retries::within(longest).delays(Duration::from_millis(2), Duration::from_millis(50))
}

/// A job whose checkpoints are taken when the test wants one.
fn start(storage: ObjectCheckpointStorage, state: Option<FileStateBackend>) -> Counting {
    let builder = StreamExecutionEnvironment::builder().checkpoint_storage(storage);
    let env = match state {
        Some(state) => builder.state_backend(state),
        None => builder,
    }
    .build()
    .unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    Counting::start(&env, "counting", KEYS)
}

fn checkpoint(job: &Counting) -> snapline::Result<snapline::core::CheckpointId> {
    block_on(job.job().checkpoint(CheckpointScope::Usual))
}

#[test]
fn one_in_ten_requests_that_fail_cost_time_and_no_checkpoint() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::seeded(7, 10)).unwrap();
    let open = place(&server, &network);
    for _ in 0..2 {
        let job = start(block_on(open().build()).unwrap(), None);
        for _ in 0..5 {
            job.feed(0..KEYS);
            checkpoint(&job).unwrap();
        }
        assert_eq!(job.job().status().checkpoints.failed, 0);
        job.stop();
    }
    let last = start(block_on(open().build()).unwrap(), None);
    assert_eq!(last.finish(), counts_after(&[KEYS; 2 * 5], KEYS));
}

#[test]
fn a_task_that_panics_restarts_over_a_network_that_breaks() {
    const NUMBERS: u64 = 300_000;
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::seeded(3, 10)).unwrap();
    let storage = block_on(place(&server, &network)().build()).unwrap();
    let env = support::environment(2, storage);
    let (sink, results) = CollectSink::new();
    count_by_remainder(&env, NUMBERS, panic_at(NUMBERS * 4 / 5), sink);
    let status = run(&env).unwrap().status;
    assert_eq!((status.state, status.restarts), (JobState::Finished, 1));
    // The panic itself may cut one off.
    assert!(status.checkpoints.failed <= 1, "{status:?}");
    assert_exactly_once(&results.take(), NUMBERS);
}

#[test]
fn a_job_goes_on_while_its_storage_is_out_of_reach_in_the_middle_of_a_checkpoint() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::never()).unwrap();
    let open = place(&server, &network);
    let job = start(block_on(open().build()).unwrap(), None);
    job.feed(0..KEYS);
    checkpoint(&job).unwrap();
    network.cut();
    std::thread::scope(|scope| {
        // Shorter than the storage is patient: the checkpoint survives.
        let survives = scope.spawn(|| checkpoint(&job));
        network.wait_for_refused(20);
        job.feed(0..KEYS);
        assert!(!survives.is_finished());
        network.mend();
        survives.join().unwrap().unwrap();
    });
    job.stop();

    // Longer: the checkpoint fails, and the job goes on.
    let impatient = open().retries(retries(Duration::from_millis(200)));
    let job = start(block_on(impatient.build()).unwrap(), None);
    wait_for(job.job(), |status| status.state == JobState::Running);
    network.cut();
    let error = checkpoint(&job).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    job.feed(0..KEYS);
    wait_for(job.job(), |status| status.checkpoints.failed > 0);
    network.mend();
    checkpoint(&job).unwrap();
    let status = job.job().status();
    assert_eq!((status.state, status.restarts), (JobState::Running, 0));
    assert!(status.restored.is_some());
    // What came after the checkpoint that survived was not in it when the first job was stopped.
    assert_eq!(job.finish(), counts_after(&[KEYS, KEYS], KEYS));
}

/// The results that stand in the objects below a place.
fn results_in(storage: &ObjectCheckpointStorage) -> Vec<(u64, u64)> {
    let keys = block_on(storage.list("", None)).unwrap();
    let objects = keys.iter().filter(|key| !key.as_str().contains("_snapline/"));
    let contents = objects.map(|key| block_on(storage.get(key, None)).unwrap().unwrap());
    let parsed = contents.flat_map(|content| {
        let text = String::from_utf8(content.to_vec()).unwrap();
        let pair = |line: &str| {
            let (key, count) = line.split_once(' ').unwrap();
            (key.parse().unwrap(), count.parse().unwrap())
        };
        text.lines().map(pair).collect::<Vec<_>>()
    });
    parsed.collect()
}

#[test]
fn results_are_in_the_store_once_when_tasks_panic_and_requests_are_lost() {
    const NUMBERS: u64 = 100_000;
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::seeded(5, 20)).unwrap();
    let url = format!("s3://{}/results", server.bucket());
    let sink = ObjectSink::with_encoder(&url, |(key, count): &(u64, u64), out| {
        out.extend(format!("{key} {count}\n").into_bytes());
    });
    let options = [
        ("aws_endpoint", network.endpoint()),
        ("allow_http", "true".to_owned()),
        ("access_key_id", "key".to_owned()),
        ("secret_access_key", "secret".to_owned()),
        ("region", "us-east-1".to_owned()),
    ];
    let sink = options.into_iter().fold(
        sink.retries(retries(Duration::from_secs(60))),
        |sink, (name, value)| sink.option(name, value),
    );
    let directory = tempfile::tempdir().unwrap();
    let env = support::environment(2, FileCheckpointStorage::open(directory.path()).unwrap());
    count_by_remainder(&env, NUMBERS, panic_at(NUMBERS * 4 / 5), sink);
    let status = run(&env).unwrap().status;
    assert_eq!((status.state, status.restarts), (JobState::Finished, 1));
    let reader = ObjectCheckpointStorage::builder(&url)
        .option("aws_endpoint", server.endpoint())
        .option("allow_http", "true")
        .option("access_key_id", "key")
        .option("secret_access_key", "secret")
        .option("region", "us-east-1")
        .read_only();
    assert_exactly_once(&results_in(&block_on(reader.build()).unwrap()), NUMBERS);
}

#[test]
fn state_on_disk_is_fetched_from_the_store_when_the_disk_is_gone() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::never()).unwrap();
    let open = place(&server, &network);
    let mut sent = Vec::new();
    for _ in 0..3 {
        // Another machine each time: nothing is local but what it fetches.
        let disk = tempfile::tempdir().unwrap();
        let state = FileStateBackend::builder(disk.path())
            .memory_bytes(256 * 1024)
            .cache_bytes(256 * 1024)
            .build();
        let job = start(block_on(open().build()).unwrap(), Some(state));
        for count in [KEYS, 100] {
            job.feed(0..count);
            sent.push(count);
            checkpoint(&job).unwrap();
        }
        job.stop();
    }
    // And a savepoint moves to the backend in memory.
    let last = start(block_on(open().build()).unwrap(), None);
    assert_eq!(last.finish(), counts_after(&sent, KEYS));
}
