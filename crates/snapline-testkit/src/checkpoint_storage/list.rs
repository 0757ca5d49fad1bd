//! Cases of `list`.

use super::{Outcome, Subject};

pub(super) fn an_object_is_listed_once_it_is_stored(subject: Subject) -> Outcome {
    assert_eq!(subject.list(""), [""; 0]);
    let _ = subject.create("job/a", "content");
    assert_eq!(subject.list(""), ["job/a"]);
    let _ = subject.put("job/b", "content");
    assert_eq!(subject.list("job/"), ["job/a", "job/b"]);
    Outcome::Held
}

/// In the order of their bytes, where `-` and `.` come before `/` and a walk by folders goes wrong.
const ORDERED: [&str; 10] = [
    "a", "b-0", "b.0", "b/0", "b/00", "b/1", "b/A", "b/a", "b0/0", "b_0",
];

fn store(subject: &Subject, names: &[&str]) {
    // Neither in order nor in the opposite order.
    let (even, odd): (Vec<_>, Vec<_>) = names.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    for (_, name) in odd.iter().rev().chain(&even) {
        let _ = subject.put(name, name.to_string());
    }
}

pub(super) fn list_is_ordered_by_the_bytes_of_the_key(subject: Subject) -> Outcome {
    store(&subject, &ORDERED);
    assert_eq!(subject.list(""), ORDERED);
    Outcome::Held
}

pub(super) fn list_gives_the_keys_that_start_with_a_text(subject: Subject) -> Outcome {
    store(&subject, &ORDERED);
    for prefix in ["a", "b", "b/", "b/0", "b/00", "b0", "b0/", "b-", "b."] {
        let expected: Vec<_> = ORDERED
            .into_iter()
            .filter(|name| name.starts_with(prefix))
            .collect();
        assert_eq!(subject.list(prefix), expected, "{prefix}");
    }
    Outcome::Held
}

pub(super) fn list_begins_after_a_key(subject: Subject) -> Outcome {
    store(&subject, &ORDERED);
    for (prefix, after) in [
        ("", "a"),
        ("", "b/0"),
        ("b/", "b/0"),
        ("b/", "a"),
        ("b/", "b/05"),
        ("b/", "c"),
        ("b/0", "b/0"),
        ("", "b_0"),
    ] {
        let expected: Vec<_> = ORDERED
            .into_iter()
            .filter(|name| name.starts_with(prefix) && *name > after)
            .collect();
        let listed = subject.list_after(prefix, Some(after));
        assert_eq!(listed, expected, "{prefix:?} after {after:?}");
    }
    Outcome::Held
}

pub(super) fn list_gives_all_of_many_keys(subject: Subject) -> Outcome {
    let names: Vec<String> = (0..150)
        .map(|number| format!("job/{}/{number:03}", number % 3))
        .collect();
    store(&subject, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(subject.list("job/"), expected);
    Outcome::Held
}

pub(super) fn a_text_that_no_key_starts_with_lists_nothing(subject: Subject) -> Outcome {
    store(&subject, &ORDERED);
    for prefix in [
        "c", "b/00/", "b//", "/", "/b", "..", "../", "./", "b/../", "b/.", "B", " ", "\0", "\u{e4}",
    ] {
        assert_eq!(subject.list(prefix), [""; 0], "{prefix:?}");
    }
    Outcome::Held
}
