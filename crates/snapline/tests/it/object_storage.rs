//! Whole jobs whose checkpoints lie in an object store.

use crate::support::{assert_exactly_once, count_by_remainder, environment, run};
use futures::executor::block_on;
use snapline::prelude::*;
use snapline_state_object::ObjectCheckpointStorage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NUMBERS: u64 = 300_000;

#[test]
fn a_job_that_fails_restores_from_an_object_store() {
    for (parallelism, in_memory) in [(1, true), (2, true), (2, false)] {
        let directory = tempfile::TempDir::new().unwrap();
        let url = match in_memory {
            true => "memory:///checkpoints".to_owned(),
            false => format!("file://{}", directory.path().display()),
        };
        let storage = block_on(ObjectCheckpointStorage::open(url)).unwrap();
        let env = environment(parallelism, storage);
        let (sink, results) = CollectSink::new();
        let has_failed = Arc::new(AtomicBool::new(false));
        let fail_once = move |number| {
            let fails = number == NUMBERS - 1000 && !has_failed.swap(true, Ordering::SeqCst);
            assert!(!fails, "made to fail");
        };
        count_by_remainder(&env, NUMBERS, fail_once, sink);
        let status = run(&env).unwrap().status;
        assert_eq!((status.state, status.restarts), (JobState::Finished, 1));
        assert!(status.checkpoints.completed > 0, "{status:?}");
        assert_exactly_once(&results.take(), NUMBERS);
    }
}
