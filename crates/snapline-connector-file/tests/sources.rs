//! The conformance suite of sources, for those of this crate.

#![expect(clippy::unwrap_used, reason = "makes files for tests")]

use snapline_connector_file::TextFileSource;
use snapline_testkit::source::Subject;
use snapline_testkit::source_suite;
use std::fs;
use tempfile::TempDir;

source_suite!(text_files, {
    let (then, other) = (directory(&FILES), directory(&[FILES[0]]));
    let lines = FILES.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned);
    let lines: Vec<String> = lines.collect();
    Subject::new(move || TextFileSource::new(then.path()), lines)
        .refusing(move || TextFileSource::new(other.path()))
});

const FILES: [(&str, &str); 4] = [
    ("a.txt", "one\ntwo\r\n\nfour\n"),
    ("b.txt", "five"),
    ("c.txt", ""),
    ("d.txt", "six\nseven\neight\nnine"),
];

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}
