//! Records with what was valid at their time, on the harness.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use proptest::prelude::*;
use snapline_core::Timestamp;
use snapline_dataflow::DataStream;
use snapline_testkit::harness::{HarnessSnapshot, OperatorHarness};

/// Whether it is a version, the key, and what it says.
type Pushed = (bool, u8, u64);
/// The key, the record, and its version.
type Joined = (u8, u64, Option<u64>);

fn joined(stream: DataStream<Pushed>) -> DataStream<Joined> {
    let records = stream.filter(|(is_version, ..)| !is_version);
    let versions = stream.filter(|(is_version, ..)| *is_version);
    let by_key = records
        .connect(&versions)
        .key_by(|record| record.1, |version| version.1);
    by_key.temporal_join(|(_, key, record), version| Some((key, record, version.map(|version| version.2))))
}

fn harness(parallelism: u32, snapshot: Option<&HarnessSnapshot>) -> OperatorHarness<Pushed, Joined> {
    let builder = OperatorHarness::builder().parallelism(parallelism);
    let builder = match snapshot {
        Some(snapshot) => builder.restore(snapshot),
        None => builder,
    };
    builder.build(joined).unwrap()
}

#[test]
fn each_record_gets_the_version_of_its_moment_in_whichever_order_they_come() {
    let mut harness = harness(1, None);
    harness.push((false, 1, 100), 15).unwrap();
    harness.push((true, 1, 2), 20).unwrap();
    harness.push((true, 1, 1), 10).unwrap();
    harness.push((false, 1, 101), 5).unwrap();
    harness.push((false, 1, 102), 20).unwrap();
    assert!(harness.take_records().is_empty(), "a version may still come");
    harness.watermark(19).unwrap();
    let at = |millis| Some(Timestamp(millis));
    assert_eq!(
        harness.take_timed(),
        [((1, 101, None), at(5)), ((1, 100, Some(1)), at(15))]
    );
    harness.watermark(20).unwrap();
    assert_eq!(harness.take_timed(), [((1, 102, Some(2)), at(20))]);
}

#[test]
fn late_records_are_dropped_and_a_late_version_is_for_those_to_come() {
    let mut harness = harness(1, None);
    harness.push((true, 1, 1), 10).unwrap();
    harness.watermark(50).unwrap();
    harness.push((false, 1, 100), 50).unwrap();
    harness.push((true, 1, 2), 40).unwrap();
    harness.push((true, 1, 9), 5).unwrap();
    harness.push((false, 1, 101), 60).unwrap();
    harness.watermark(60).unwrap();
    assert_eq!(harness.take_records(), [(1, 101, Some(2))]);
}

#[test]
fn versions_that_nobody_can_ask_for_are_forgotten() {
    let mut harness = harness(1, None);
    let mut size_after = |versions: std::ops::Range<u64>| {
        let end = versions.end as i64;
        versions.for_each(|version| harness.push((true, 1, version), version as i64).unwrap());
        harness.watermark(end).unwrap();
        harness.snapshot().unwrap().bytes()
    };
    let few = size_after(1000..1010);
    assert!(size_after(1010..2000) <= few);
}

#[test]
fn records_and_versions_without_a_time_fail_the_job() {
    for is_version in [false, true] {
        let error = harness(1, None).push_untimed((is_version, 1, 1)).unwrap_err();
        assert!(error.to_string().contains("assign_timestamps"), "{error}");
    }
}

proptest! {
    /// Compared with looking through all versions, with watermarks and rescales in between.
    #[test]
    fn the_versions_are_those_of_a_look_through_all(
        pushed in prop::collection::vec((any::<bool>(), 0_u8..3, 0_i64..40), 0..60),
        restores in prop::collection::vec(1_u32..4, 0..4),
    ) {
        let part = pushed.len() / (restores.len() + 1) + 1;
        let mut now = harness(1, None);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        // The numbers are unique and versions of one time come in their order.
        let all: Vec<(bool, u8, i64, u64)> = pushed
            .iter()
            .zip(0..)
            .map(|((is_version, key, at), number)| (*is_version, *key, *at, number))
            .collect();
        for (index, chunk) in all.chunks(part).enumerate() {
            for (is_version, key, at, number) in chunk {
                now.push((*is_version, *key, *number), *at).unwrap();
            }
            if let Some(parallelism) = restores.get(index) {
                let snapshot = now.snapshot().unwrap();
                now = harness(*parallelism, Some(&snapshot));
            }
        }
        now.watermark(100).unwrap();
        found.extend(now.take_records());
        for (is_version, key, at, number) in &all {
            if !is_version {
                let valid = all.iter().filter(|version| version.0 && version.1 == *key && version.2 <= *at);
                let newest = valid.max_by_key(|version| (version.2, version.3));
                expected.push((*key, *number, newest.map(|version| version.3)));
            }
        }
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
