//! Requests to the outside world in whole jobs.

use crate::support::{KEYS, assert_exactly_once, environment, panic_at, run};
use futures::FutureExt;
use snapline::Result;
use snapline::core::RestartSettings;
use snapline::prelude::*;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Waits in a way that only tokio can, and lets others go first.
async fn ask(number: u64) -> u64 {
    for _ in 0..number % 7 {
        tokio::task::yield_now().await;
    }
    let answer = tokio::time::timeout(MINUTE, async { number }).await;
    answer.unwrap()
}

#[test]
fn results_are_exactly_once_whatever_panics_while_requests_are_on_their_way() {
    for settings in [AsyncIo::ordered(MINUTE), AsyncIo::unordered(MINUTE)] {
        let env = environment(2, MemoryCheckpointStorage::new());
        env.enable_checkpointing(Duration::from_millis(2));
        let (sink, results) = CollectSink::new();
        let fail = panic_at(9_000);
        env.from_source(SequenceSource::new(0..20_000), "numbers")
            .async_map(settings.capacity(64), |number| ask(number).map(Ok))
            .map(move |number| {
                fail(number);
                (number % KEYS, 1_u64)
            })
            .key_by(|(key, _)| *key)
            .sum(|(_, count)| count)
            .sink_to(sink);
        run(&env).unwrap();
        assert_exactly_once(&results.take(), 20_000);
    }
}

#[test]
fn a_request_that_is_never_answered_fails_the_job_with_the_name_of_the_operator() {
    let env = environment(1, MemoryCheckpointStorage::new());
    env.configure(|settings| settings.restart = Some(RestartSettings::None));
    let retry = AsyncRetry::fixed(3, Duration::from_millis(1));
    let settings = AsyncIo::unordered(Duration::from_millis(20))
        .retry(retry)
        .capacity(1);
    env.from_source(SequenceSource::new(0..10), "numbers")
        .async_map(settings, |_| std::future::pending::<Result<u64>>())
        .name("silent service")
        .sink_to(DiscardSink);
    let error = run(&env).unwrap_err().to_string();
    assert!(error.contains("not answered in time"), "{error}");
    assert!(
        error.contains("silent service") || error.contains("numbers"),
        "{error}"
    );
}
