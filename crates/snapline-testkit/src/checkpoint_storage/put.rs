//! Cases of `put`.

use super::content::{bytes, failing, stalling};
use super::create::while_reading;
use super::subject::pieces;
use super::{Outcome, Subject};
use snapline_core::{Error, ErrorKind};
use snapline_state::Stored;

pub(super) fn an_object_that_was_put_can_be_read(subject: Subject) -> Outcome {
    let _ = subject.put("job/checkpoint/a1-e1/state", "content");
    let read = subject.get("job/checkpoint/a1-e1/state");
    assert_eq!(read.as_deref(), Some(&b"content"[..]));
    Outcome::Held
}

pub(super) fn put_tells_the_length_and_the_crc32c_of_the_content(subject: Subject) -> Outcome {
    // The check values of RFC 3720, appendix B.4, and of the catalogue of parametrised CRCs.
    let cases: [(&[u8], u32); 4] = [
        (b"", 0),
        (b"123456789", 0xe306_9283),
        (&[0; 32], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
    ];
    for (content, checksum) in cases {
        let len = content.len() as u64;
        assert_eq!(subject.put("object", content), Stored { len, checksum });
        let in_pieces = pieces(content.chunks(5).map(bytes::Bytes::copy_from_slice));
        let stored = subject.put_stream("object", in_pieces);
        assert_eq!(stored.ok(), Some(Stored { len, checksum }), "in pieces");
    }
    Outcome::Held
}

pub(super) fn put_stores_several_megabytes_that_come_in_pieces(subject: Subject) -> Outcome {
    const LEN: usize = 9_000_000;
    if subject.capability().max_object_len < LEN as u64 {
        return Outcome::Skipped("the storage takes only small objects");
    }
    let whole = bytes(7, LEN);
    // Pieces of many sizes, some of them empty.
    let mut rest = whole.clone();
    let content = (0..).map_while(move |number: usize| {
        let size = (number * 7919 % 200_000).min(rest.len());
        let size = if number.is_multiple_of(10) { 0 } else { size };
        (!rest.is_empty()).then(|| rest.split_to(size))
    });
    let stored = subject.put_stream("large", pieces(content));
    assert_eq!(stored.map(|stored| stored.len).ok(), Some(LEN as u64));
    assert!(
        subject.get("large") == Some(whole),
        "the object is not what was put"
    );
    Outcome::Held
}

pub(super) fn an_empty_object_is_an_object(subject: Subject) -> Outcome {
    for (name, content) in [("none", vec![]), ("empty", vec![bytes(0, 0)])] {
        let stored = subject.put_stream(name, pieces(content));
        assert_eq!(stored.ok(), Some(Stored { len: 0, checksum: 0 }));
        assert_eq!(subject.get(name), Some(bytes(0, 0)));
        assert_eq!(subject.get_range(name, 0..10), Some(bytes(0, 0)));
        assert_eq!(subject.list(name), [name]);
    }
    Outcome::Held
}

pub(super) fn put_replaces_an_object_as_a_whole(subject: Subject) -> Outcome {
    for (seed, len) in [(1, 1000), (2, 3000), (3, 10), (4, 0), (5, 500)] {
        let _ = subject.put("object", bytes(seed, len));
        assert_eq!(subject.get("object"), Some(bytes(seed, len)));
    }
    assert_eq!(subject.list(""), ["object"]);
    Outcome::Held
}

pub(super) fn a_reader_sees_the_old_or_the_new_object_and_no_mixture(subject: Subject) -> Outcome {
    let versions = [bytes(1, 300_000), bytes(2, 200_000)];
    let _ = subject.put("object", versions[0].clone());
    while_reading(
        || {
            let seen = subject.get("object");
            let whole = seen.is_some_and(|seen| versions.contains(&seen));
            assert!(whole, "something else than the two versions was seen");
        },
        || {
            for version in versions.iter().cycle().take(8) {
                let _ = subject.put("object", version.clone());
            }
        },
    );
    Outcome::Held
}

pub(super) fn put_gives_back_the_first_error_of_its_content(subject: Subject) -> Outcome {
    let outcome = subject.put_stream("object", failing(bytes(1, 10), given_up()));
    let error = outcome
        .err()
        .map(|error| (error.kind(), error.message().to_owned()));
    assert_eq!(
        error,
        Some((ErrorKind::Cancelled, given_up().message().to_owned()))
    );
    Outcome::Held
}

pub(super) fn a_put_whose_content_fails_leaves_no_object(subject: Subject) -> Outcome {
    for len in [0, 10, 1_000_000] {
        let outcome = subject.put_stream("job/object", failing(bytes(1, len), given_up()));
        assert!(outcome.is_err());
        assert_eq!(subject.get("job/object"), None);
        assert_eq!(subject.list(""), [""; 0]);
    }
    Outcome::Held
}

pub(super) fn a_put_whose_content_fails_keeps_the_object_that_was_there(subject: Subject) -> Outcome {
    let _ = subject.put("object", "old");
    let outcome = subject.put_stream("object", failing(bytes(1, 1_000_000), given_up()));
    assert!(outcome.is_err());
    assert_eq!(subject.get("object").as_deref(), Some(&b"old"[..]));
    Outcome::Held
}

pub(super) fn a_dropped_put_leaves_no_object(subject: Subject) -> Outcome {
    for len in [0, 10, 1_000_000] {
        let (content, taken) = stalling(bytes(1, len));
        subject.drop_put("job/object", content, taken);
        assert_eq!(subject.get("job/object"), None);
        assert_eq!(subject.list(""), [""; 0]);
    }
    let _ = subject.put("job/object", "whole");
    assert_eq!(subject.get("job/object").as_deref(), Some(&b"whole"[..]));
    Outcome::Held
}

fn given_up() -> Error {
    Error::cancelled("the snapshot was given up")
}
