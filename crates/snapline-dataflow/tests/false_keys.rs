//! Keys that are not what they say: an error that tells so, or at least no more harm than to themselves.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use serde::{Deserialize, Serialize, Serializer};
use snapline_core::{Data, Error, ErrorKind, Key};
use snapline_dataflow::{DataStream, KeyedStream};
use snapline_testkit::harness::OperatorHarness;
use std::sync::atomic::{AtomicU64, Ordering};

/// Equal to nothing, as the number that is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Unequal(u64);

impl PartialEq for Unequal {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Unequal {}

/// Another encoding each time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Unstable(u64);

static TIMES: AtomicU64 = AtomicU64::new(0);

impl Serialize for Unstable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 + TIMES.fetch_add(1, Ordering::Relaxed))
    }
}

/// Cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Unwritable(u64);

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not this one"))
    }
}

/// Equal to all others, and encoded each in its own way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Equal(u64);

impl PartialEq for Equal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Equal {}

/// Says of what it is made as a set does whose order is by chance: equal keys are encoded in two ways.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Unordered(u64, u64);

impl PartialEq for Unordered {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1) || (self.0, self.1) == (other.1, other.0)
    }
}

impl Eq for Unordered {}

fn counts<K: Key>(key: fn(u64) -> K) -> impl Fn(DataStream<u64>) -> DataStream<(K, u64)> {
    move |numbers| {
        let keyed: KeyedStream<K, u64> = numbers.key_by(move |number| key(*number));
        keyed.count()
    }
}

fn refused<U: Data>(describe: impl Fn(DataStream<u64>) -> DataStream<U>) -> Error {
    for parallelism in [2, 1] {
        let builder = OperatorHarness::builder().parallelism(parallelism);
        let mut harness = builder.build(&describe).unwrap();
        let error = harness.push(7, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.context("operator").is_some(), "{error}");
        if parallelism == 1 {
            return error;
        }
    }
    unreachable!("the last one has returned")
}

#[test]
fn a_key_that_is_not_equal_to_itself_or_not_always_the_same_fails_the_job_at_once() {
    let error = refused(counts(Unequal)).to_string();
    assert!(error.contains("`Eq`"), "{error}");
    let error = refused(counts(Unstable)).to_string();
    assert!(error.contains("`Serialize`"), "{error}");
    let error = refused(counts(Unwritable)).to_string();
    assert!(error.contains("Unwritable"), "{error}");
}

/// The counts of a hundred numbers, some before a restore and some after it.
fn counted<K: Key>(key: fn(u64) -> K) -> u64 {
    let mut harness = OperatorHarness::new(counts(key)).unwrap();
    let mut emitted = 0;
    for number in 0..100 {
        if number == 50 {
            emitted += harness.take_records().len() as u64;
            let snapshot = harness.snapshot().unwrap();
            let builder = OperatorHarness::builder().parallelism(3).restore(&snapshot);
            harness = builder.build(counts(key)).unwrap();
        }
        harness.push(number, 0).unwrap();
    }
    harness.end().unwrap();
    emitted + harness.take_records().len() as u64
}

#[test]
fn keys_that_are_equal_and_encoded_differently_are_several_keys_and_do_no_other_harm() {
    assert_eq!(counted(Equal), 100);
    assert_eq!(counted(|number| Unordered(number % 3, number % 2)), 100);
    assert_eq!(counted(|number| Equal(number % 5)), 100);
}
