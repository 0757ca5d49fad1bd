//! Cases of `delete`.

use super::{Outcome, Subject};
use snapline_state::Created;

pub(super) fn a_deleted_object_is_gone(subject: Subject) -> Outcome {
    for name in ["job/a", "job/b", "job/c"] {
        let _ = subject.put(name, "content");
    }
    subject.delete(&["job/c", "job/a"]);
    assert_eq!(subject.get("job/a"), None);
    assert_eq!(subject.get_range("job/c", 0..1), None);
    assert_eq!(subject.list(""), ["job/b"]);
    assert_eq!(subject.get("job/b").as_deref(), Some(&b"content"[..]));
    Outcome::Held
}

pub(super) fn delete_passes_over_missing_objects(subject: Subject) -> Outcome {
    subject.delete(&[]);
    subject.delete(&["job/a", "b"]);
    let _ = subject.put("job/a/b", "content");
    subject.delete(&["job/a/a", "job/a", "job/a/b", "job/a/b", "job/a/c"]);
    subject.delete(&["job/a/b"]);
    assert_eq!(subject.list(""), [""; 0]);
    Outcome::Held
}

pub(super) fn a_deleted_key_can_be_created_anew(subject: Subject) -> Outcome {
    for content in ["one", "two", "three"] {
        assert_eq!(subject.create("job/epoch/1", content), Created::New);
        assert_eq!(subject.get("job/epoch/1").as_deref(), Some(content.as_bytes()));
        subject.delete(&["job/epoch/1"]);
    }
    let _ = subject.put("job/epoch", "a folder that is empty takes no name");
    Outcome::Held
}
