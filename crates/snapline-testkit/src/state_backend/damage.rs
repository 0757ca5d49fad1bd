//! Snapshots that are not what they were.

use super::Subject;
use super::subject::{max, one_state};
use bytes::Bytes;
use snapline_core::ErrorKind;
use snapline_state::{StateHandle, StateLocation};

pub(super) fn a_flipped_byte_is_found(subject: &Subject) {
    let places: [fn(usize) -> usize; 5] = [
        |_| 0,
        |len| len / 3,
        |len| len / 2,
        |len| len * 4 / 5,
        |len| len - 1,
    ];
    for place in places {
        each_damage_is_found(subject, |bytes| {
            let mut bytes = bytes.to_vec();
            let at = place(bytes.len());
            bytes[at] ^= 0x04;
            Some(bytes.into())
        });
    }
}

pub(super) fn a_file_that_was_cut_short_is_found(subject: &Subject) {
    let lengths: [fn(usize) -> usize; 3] = [|_| 0, |len| len / 2, |len| len - 1];
    for length in lengths {
        each_damage_is_found(subject, |bytes| Some(bytes.slice(..length(bytes.len()))));
    }
}

pub(super) fn a_missing_file_is_found(subject: &Subject) {
    each_damage_is_found(subject, |_| None);
}

/// Damages one object or one inline piece after the other and restores.
fn each_damage_is_found(subject: &Subject, damage: impl Fn(&Bytes) -> Option<Bytes>) {
    let (program, texts) = one_state::<u64, String>();
    let mut state = subject.open(&program, &[]);
    texts.fill(&mut state, (0..5_000).map(|key| (key, format!("value {key}"))));
    subject.shelf.objects().clear();
    let handles = subject.snapshot(&mut state);
    drop(state);
    let check = |handles: &[StateHandle]| {
        let opened = subject.open_range(&program, max().full_range(), handles);
        match opened.and_then(|mut state| texts.try_content(&mut state)) {
            Ok(content) => panic!("{} entries were read from a damaged snapshot", content.len()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}"),
        }
    };
    let whole = subject.shelf.objects().clone();
    for (key, bytes) in &whole {
        match damage(bytes) {
            Some(damaged) => subject.shelf.objects().insert(key.clone(), damaged),
            None => subject.shelf.objects().remove(key),
        };
        check(&handles);
        *subject.shelf.objects() = whole.clone();
    }
    for index in 0..handles.len() {
        let mut handles = handles.clone();
        if let StateLocation::Inline(bytes) = &mut handles[index].location
            && let Some(damaged) = damage(bytes)
        {
            *bytes = damaged;
            check(&handles);
        }
    }
}
