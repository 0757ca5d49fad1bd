//! The conformance suite of sources, for those of this crate.

#![expect(clippy::unwrap_used, reason = "makes files for tests")]

use flate2::write::GzEncoder;
use snapline_connector_file::{FileSource, TextFileSource};
use snapline_testkit::source::Subject;
use snapline_testkit::source_suite;
use std::fs;
use std::io::Write;
use std::time::Duration;
use tempfile::TempDir;

source_suite!(text_files, {
    let (then, other) = (directory(&FILES), directory(&[FILES[0]]));
    let lines = FILES.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned);
    let lines: Vec<String> = lines.collect();
    Subject::new(move || TextFileSource::new(then.path()), lines)
        .refusing(move || TextFileSource::new(other.path()))
});

source_suite!(watched_lines, {
    let (then, other) = (directory(&FILES), directory(&[FILES[0]]));
    let lines = FILES.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned);
    let lines: Vec<String> = lines.collect();
    let watched = |directory: &TempDir| FileSource::lines(directory.path()).watch(Duration::from_secs(1));
    Subject::new(move || watched(&then), lines).refusing(move || watched(&other))
});

source_suite!(compressed_lines, {
    let then = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let compressed = encoder.finish().unwrap();
        fs::write(then.path().join(format!("{name}.gz")), compressed).unwrap();
    }
    let lines = FILES.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned);
    let lines: Vec<String> = lines.collect();
    Subject::new(move || FileSource::lines(then.path()), lines)
});

source_suite!(csv, {
    let then = directory(&TABLES);
    let records = [("a", 1), ("b", 2), ("c\nd", 3), ("e", 4)].map(|(text, number)| (text.to_owned(), number));
    Subject::new(move || FileSource::<(String, u64)>::csv(then.path()), records)
});

const TABLES: [(&str, &str); 2] = [
    ("a.csv", "text,number\na,1\nb,2\n"),
    ("b.csv", "text,number\n\"c\nd\",3\ne,4"),
];

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
