//! Cases of `get`.

use super::content::bytes;
use super::{Outcome, Subject};

pub(super) fn a_missing_object_is_none(subject: Subject) -> Outcome {
    let _ = subject.put("job/epoch/1", "one");
    for name in [
        "job/epoch/2",
        "job/epoch/1.json",
        "job/epoch/1/under",
        "job/epoch",
        "job",
        "other/epoch/1",
    ] {
        assert_eq!(subject.get(name), None, "{name}");
        assert_eq!(subject.get_range(name, 0..1), None, "{name}");
    }
    Outcome::Held
}

pub(super) fn a_range_reads_any_part(subject: Subject) -> Outcome {
    let whole = bytes(3, 100_000);
    let _ = subject.put("object", whole.clone());
    for (start, end) in [
        (0, 1),
        (0, 100_000),
        (1, 2),
        (4095, 4097),
        (65_535, 70_000),
        (99_999, 100_000),
        (500, 500),
    ] {
        let part = subject.get_range("object", start as u64..end as u64);
        assert!(part == Some(whole.slice(start..end)), "{start}..{end}");
    }
    Outcome::Held
}

pub(super) fn a_range_is_cut_at_the_end(subject: Subject) -> Outcome {
    let whole = bytes(3, 100);
    let _ = subject.put("object", whole.clone());
    for (start, end, expected) in [
        (90, 101, 90..100),
        (0, u64::MAX, 0..100),
        (100, 200, 100..100),
        (500, 600, 100..100),
        (u64::MAX, u64::MAX, 100..100),
    ] {
        let part = subject.get_range("object", start..end);
        assert_eq!(part, Some(whole.slice(expected)), "{start}..{end}");
    }
    Outcome::Held
}

pub(super) fn keys_that_look_alike_are_different_objects(subject: Subject) -> Outcome {
    let deep = ["level"; 12].join("/");
    let long = "x".repeat(200);
    let names = [
        "a/b", "a-b", "a_b", "a.b", "a.b.", "ab", "c/a/b", "0", "00", "tmp", "tmp-1", "x.tmp", &deep, &long,
    ];
    for name in names {
        let _ = subject.put(name, name.to_owned());
    }
    for name in names {
        assert_eq!(subject.get(name).as_deref(), Some(name.as_bytes()), "{name}");
    }
    assert_eq!(subject.list("").len(), names.len());
    Outcome::Held
}
