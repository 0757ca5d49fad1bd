//! Cases that need more than one handle to the same place.

use super::create::race;
use super::{Outcome, Subject};
use snapline_state::Created;

const CANNOT: Outcome = Outcome::Skipped("the suite was not told how to open the storage again");

pub(super) fn two_handles_see_each_others_objects(subject: Subject) -> Outcome {
    let other = match several(&subject, 1) {
        Ok(mut handles) => handles.remove(0),
        Err(skipped) => return skipped,
    };
    let _ = subject.put("job/put", "content");
    let _ = subject.create("job/created", "first");
    assert_eq!(other.get("job/put").as_deref(), Some(&b"content"[..]));
    let taken = Created::AlreadyExists("first".into());
    assert_eq!(other.create("job/created", "second"), taken);
    assert_eq!(other.list("job/"), ["job/created", "job/put"]);
    other.delete(&["job/put"]);
    assert_eq!(subject.list("job/"), ["job/created"]);
    other.delete(&["job/created"]);
    let _ = subject.put("job/put", "again");
    assert_eq!(other.get("job/put").as_deref(), Some(&b"again"[..]));
    Outcome::Held
}

pub(super) fn a_race_between_handles_has_one_winner(subject: Subject) -> Outcome {
    match several(&subject, 8) {
        Ok(racers) => race(&racers),
        Err(skipped) => return skipped,
    }
    Outcome::Held
}

fn several(subject: &Subject, count: usize) -> Result<Vec<Subject>, Outcome> {
    if !subject.capability().conditional_create {
        return Err(Outcome::Skipped("the storage is for one process"));
    }
    let handles: Option<_> = (0..count).map(|_| subject.another()).collect();
    handles.ok_or(CANNOT)
}

pub(super) fn what_was_stored_is_there_when_opened_again(subject: Subject) -> Outcome {
    if !subject.capability().durable {
        return Outcome::Skipped("the storage does not outlive its process");
    }
    let _ = subject.create("job/created", "one");
    for (name, content) in [
        ("job/put", "two"),
        ("job/replaced", "three"),
        ("job/replaced", "four"),
        ("job/deleted", "five"),
    ] {
        let _ = subject.put(name, content);
    }
    subject.delete(&["job/deleted"]);
    let Some(again) = subject.opened_again() else {
        return CANNOT;
    };
    for (name, content) in [
        ("job/created", "one"),
        ("job/put", "two"),
        ("job/replaced", "four"),
    ] {
        assert_eq!(again.get(name).as_deref(), Some(content.as_bytes()), "{name}");
    }
    assert_eq!(again.list(""), ["job/created", "job/put", "job/replaced"]);
    let taken = Created::AlreadyExists("one".into());
    assert_eq!(again.create("job/created", "other"), taken);
    Outcome::Held
}
