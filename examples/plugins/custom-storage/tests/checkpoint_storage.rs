//! The conformance suite.

use custom_storage::JournalStorage;
use snapline_testkit::checkpoint_storage::Subject;
use tempfile::tempdir;

fn empty() -> Subject {
    let directory = tempdir().expect("a temporary directory");
    let open = move || JournalStorage::open(directory.path().join("checkpoints")).expect("a journal");
    Subject::new(open()).reopened_by(open)
}

snapline_testkit::checkpoint_storage_suite!(journal, empty());
