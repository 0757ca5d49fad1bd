//! What a simulation promises about itself.

use snapline_testkit::simulation::{Faults, Report, Simulation};
use std::time::Duration;

fn count(simulation: Simulation) -> Report {
    simulation
        .at_least_checkpoints(0)
        .run(|env, world| {
            env.from_source(world.source(0..60_u64), "numbers")
                .map(|number| (number % 5, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..60_u64).map(|number| (number % 5, number / 5 + 1)))
}

#[test]
fn a_seed_makes_the_same_run_each_time_and_other_seeds_make_others() {
    let fingerprint = |seed| count(Simulation::seeds(seed..seed + 1).rescale(1..=4)).fingerprint;
    let first: Vec<u64> = (0..12).map(fingerprint).collect();
    let second: Vec<u64> = (0..12).map(fingerprint).collect();
    assert_eq!(first, second);
    let different: std::collections::BTreeSet<u64> = first.iter().copied().collect();
    assert_eq!(different.len(), first.len());
}

#[test]
fn there_are_only_faults_that_were_asked_for() {
    let met = |faults| {
        let report = count(Simulation::seeds(0..15).faults(faults));
        let kinds = [
            report.crashes,
            report.panics,
            report.storage_faults,
            report.outside_faults,
            report.interventions,
        ];
        kinds.map(|faults| faults > 0)
    };
    let none = Faults::none();
    assert_eq!(met(none), [false, false, false, false, false]);
    assert_eq!(met(none.crashes(3)), [true, false, false, false, false]);
    assert_eq!(met(none.panics(3)), [false, true, false, false, false]);
    assert_eq!(met(none.storage(9)), [false, false, true, false, false]);
    assert_eq!(met(none.outside(9)), [false, false, false, true, false]);
    assert_eq!(met(none.interventions(9)), [false, false, false, false, true]);
    assert_eq!(met(Faults::default()), [true, true, true, true, true]);
}

#[test]
fn a_simulation_without_checkpoints_proves_nothing() {
    let failure = Simulation::seeds(0..3)
        .checkpoint_interval(Duration::from_secs(3600))
        .faults(Faults::none())
        .run(|env, world| {
            env.from_source(world.source(0..10_u64), "numbers")
                .sink_to(world.sink());
        })
        .check_exactly_once(0..10_u64)
        .unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("proves nothing: too few checkpoints"),
        "{failure}"
    );
}

#[test]
fn the_settings_of_the_job_are_its_own() {
    let report = Simulation::seeds(0..3)
        .faults(Faults::none())
        .at_least_checkpoints(0)
        .run(|env, world| {
            env.configure(|settings| settings.checkpoints = None);
            env.from_source(world.source(0..10_u64), "numbers")
                .sink_to(world.sink());
        })
        .expect_exactly_once(0..10_u64);
    assert_eq!((report.seeds, report.triggered, report.checkpoints), (3, 0, 3));
}

#[test]
fn an_expectation_of_another_type_is_told_at_once() {
    let failure = Simulation::seeds(0..3)
        .run(|env, world| {
            env.from_source(world.source(0..10_u64), "numbers")
                .sink_to(world.sink());
        })
        .check_exactly_once(0..10_i32)
        .unwrap_err();
    assert!(
        failure.to_string().contains("(published: u64, expected: i32)"),
        "{failure}"
    );
}
