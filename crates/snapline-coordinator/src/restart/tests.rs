//! Failures by script, and the restarts that each strategy allows.

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn exponential(initial_ms: u64, multiplier: f64, max_ms: u64, attempts: Option<u32>) -> RestartStrategy {
    with_jitter(initial_ms, multiplier, max_ms, attempts, 0.0, 0)
}

fn with_jitter(
    initial_ms: u64,
    multiplier: f64,
    max_ms: u64,
    attempts: Option<u32>,
    jitter: f64,
    seed: u64,
) -> RestartStrategy {
    let settings = RestartSettings::ExponentialDelay {
        initial_ms,
        max_ms,
        multiplier,
        jitter,
        reset_after_ms: 8,
        attempts,
    };
    RestartStrategy::new(&settings, seed)
}

/// Failures at these times, and the delays that they must be answered with.
fn check(mut strategy: RestartStrategy, failures: &[(u64, Option<u64>)]) {
    for (at, delay) in failures {
        assert_eq!(strategy.on_failure(ms(*at)), delay.map(ms), "failure at {at} ms");
    }
}

#[test]
fn without_a_strategy_nothing_restarts() {
    check(
        RestartStrategy::new(&RestartSettings::None, 0),
        &[(0, None), (9, None)],
    );
}

#[test]
fn a_fixed_delay_restarts_as_often_as_it_may() {
    // F-01
    let settings = RestartSettings::FixedDelay {
        attempts: 3,
        delay_ms: 5,
    };
    let failures = [
        (0, Some(5)),
        (10, Some(5)),
        (20, Some(5)),
        (30, None),
        (1_000_000, None),
    ];
    check(RestartStrategy::new(&settings, 0), &failures);
}

#[test]
fn a_failure_rate_ends_the_job_when_it_fails_too_often_in_a_while() {
    let rate = |max_failures, delay_ms| {
        let settings = RestartSettings::FailureRate {
            max_failures,
            interval_ms: 100,
            delay_ms,
        };
        RestartStrategy::new(&settings, 0)
    };
    // The window slides: the failure at 0 is forgotten at 100, not before.
    check(
        rate(2, 5),
        &[(0, Some(5)), (50, Some(5)), (100, Some(5)), (149, None)],
    );
    check(
        rate(2, 5),
        &[(0, Some(5)), (50, Some(5)), (100, Some(5)), (150, Some(5))],
    );
    check(rate(1, 5), &[(0, Some(5)), (99, None)]);
    check(rate(0, 5), &[(0, None)]);
    // Failures that belong to one restart are one failure.
    check(rate(1, 5), &[(0, Some(5)), (4, Some(1)), (100, Some(5))]);
}

#[test]
fn an_exponential_delay_grows_without_rounding_in_between() {
    // F-03
    check(
        exponential(4, 2.3, 300, None),
        &[(0, Some(4)), (4, Some(9)), (13, Some(21))],
    );
    check(
        exponential(4, 2.3, 9, None),
        &[(0, Some(4)), (4, Some(9)), (13, Some(9))],
    );
}

#[test]
fn an_exponential_delay_starts_again_after_a_quiet_time() {
    // F-04: the reset is 8 ms after the restart.
    check(exponential(1, 2.0, 5, None), &[(0, Some(1)), (8, Some(2))]);
    check(exponential(1, 2.0, 5, None), &[(0, Some(1)), (9, Some(1))]);
}

#[test]
fn failures_before_the_restart_belong_to_it() {
    // F-06: the restart stays at 4 ms, and the next failure is the second, not the fourth.
    let failures = [(0, Some(4)), (1, Some(3)), (3, Some(1)), (4, Some(8))];
    check(exponential(4, 2.0, 300, None), &failures);
}

#[test]
fn attempts_are_limited_between_quiet_times() {
    // F-07
    let mut strategy = exponential(1, 1.0, 1, Some(13));
    for attempt in 0..13 {
        assert_eq!(strategy.on_failure(ms(attempt * 2)), Some(ms(1)), "{attempt}");
    }
    assert_eq!(strategy.clone().on_failure(ms(26)), None);
    assert_eq!(strategy.on_failure(ms(24 + 1 + 8)), Some(ms(1)));
}

#[test]
fn jitter_spreads_the_delays_within_its_share_and_repeats_with_its_seed() {
    let delays = |seed| -> Vec<u64> {
        let mut strategy = with_jitter(1000, 1.0, 2000, None, 0.1, seed);
        let failures = (0..50).map(|at| strategy.on_failure(ms(at * 100_000)));
        failures.map(|delay| delay.unwrap().as_millis() as u64).collect()
    };
    let first = delays(1);
    assert!(
        first.iter().all(|delay| (900..=1100).contains(delay)),
        "{first:?}"
    );
    assert!(
        first.iter().min() < Some(&950) && first.iter().max() > Some(&1050),
        "{first:?}"
    );
    assert_eq!(first, delays(1));
    assert_ne!(first, delays(2));
}

#[test]
fn no_setting_makes_it_panic() {
    for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        let mut strategy = with_jitter(u64::MAX, multiplier, u64::MAX, None, f64::NAN, 0);
        for at in [0, 1, u64::MAX] {
            let _ = strategy.on_failure(ms(at));
        }
    }
}
