//! Cuts, damage and changes of a file, and what is read of it.

use super::*;
use crate::fingerprint::Fingerprint;
use crate::testing::{drain, open, poll, stored};
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_connector::{DiscoveryContext, SourceSplit};
use snapline_core::{CheckpointId, Error, ErrorKind};
use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// A file of its own, and the source that reads it.
struct Input {
    _directory: TempDir,
    path: PathBuf,
    source: TextFileSource,
}

impl Input {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.txt");
        fs::write(&path, content).unwrap();
        let source = TextFileSource::new(&path);
        Self {
            _directory: directory,
            path,
            source,
        }
    }

    /// The file in ranges of `size` bytes.
    fn cut(&self, size: u64) -> Vec<TextFileSplit> {
        let file = Fingerprint::of(&self.path).unwrap();
        TextFileSplit::cut(self.path.to_str().unwrap(), file, size)
    }

    fn read(&self, splits: Vec<TextFileSplit>, limit: usize) -> Result<Vec<String>> {
        drain(open(&self.source, splits).as_mut(), limit)
    }
}

fn discover(source: &TextFileSource, parallelism: u32) -> Vec<TextFileSplit> {
    block_on(
        source
            .enumerator()
            .unwrap()
            .discover(&DiscoveryContext { parallelism }),
    )
    .unwrap()
}

fn verify(source: &TextFileSource, splits: &[TextFileSplit]) -> Result<()> {
    block_on(source.enumerator().unwrap().verify(splits))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

const TEXTS: [&str; 9] = [
    "",
    "\n",
    "one",
    "one\ntwo\nthree\n",
    "one\r\n\r\ntwo\rstill two\r",
    "\n\n\nafter empty lines",
    "\r\n\r\r\n",
    "ü\n€uro\n😀😀\r\n日本語",
    "a\n\nb\n",
];

#[test]
fn every_line_belongs_to_exactly_one_range_wherever_a_file_is_cut() {
    for text in TEXTS {
        let input = Input::new(text);
        for size in 1..=text.len() as u64 + 1 {
            for limit in [1, 2, 100] {
                assert_eq!(
                    input.read(input.cut(size), limit).unwrap(),
                    lines(text),
                    "{text:?} by {size}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn ranges_read_by_different_readers_have_all_lines(
        parts in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "a", "bc", "ß", "字", "🦀", "\u{85}"]), 0..60),
        size in 1_u64..40,
        limit in 1_usize..9,
    ) {
        let text = parts.concat();
        let input = Input::new(&text);
        let read: Vec<_> = input
            .cut(size)
            .into_iter()
            .flat_map(|split| input.read(vec![split], limit).unwrap())
            .collect();
        prop_assert_eq!(read, lines(&text));
    }
}

#[test]
fn reading_resumes_at_the_very_next_line() {
    for text in TEXTS {
        let input = Input::new(text);
        for size in [1, 4, 7, 100] {
            for cut in 0..=lines(text).len() {
                let mut reader = open(&input.source, input.cut(size));
                let mut read = Vec::new();
                while read.len() < cut {
                    read.extend(poll(reader.as_mut(), cut - read.len()).unwrap().unwrap());
                }
                let splits = stored(&reader.snapshot(CheckpointId(1)).unwrap());
                verify(&input.source, &splits).unwrap();
                read.extend(input.read(splits, 3).unwrap());
                assert_eq!(read, lines(text), "{text:?} by {size}, cut after {cut}");
            }
        }
    }
}

#[test]
fn lines_longer_than_the_buffer_are_read_from_any_cut() {
    let long = "0123456789".repeat(70_000);
    let text = format!("first\n{long}\r\nshort\n{long}{long}\n\n{long}");
    let input = Input::new(&text);
    for size in [100_000, 262_144, 1_000_001, u64::MAX] {
        assert!(
            input.read(input.cut(size), 1000).unwrap() == lines(&text),
            "by {size}"
        );
    }
}

#[test]
fn a_batch_stays_in_the_cache() {
    let text = "0123456789abcde\n".repeat(10_000);
    let input = Input::new(&text);
    let mut reader = open(&input.source, input.cut(u64::MAX));
    assert_eq!(
        poll(reader.as_mut(), 100_000).unwrap().unwrap().len(),
        32 * 1024 / 16
    );
    assert_eq!(poll(reader.as_mut(), 1000).unwrap().unwrap().len(), 1000);
}

#[test]
fn the_first_byte_that_is_not_utf8_is_told() {
    let cases: [(&[u8], &str, &str); 4] = [
        (b"ok\nb\xffd\n", "4", "ok|b\u{fffd}d"),
        (b"ok\r\n\xe2\x82\r\nok\xff\n", "4", "ok|\u{fffd}|ok\u{fffd}"),
        (b"ok\nend\xf0\x9f", "6", "ok|end\u{fffd}"),
        (b"\xfe", "0", "\u{fffd}"),
    ];
    for (content, byte, replaced) in cases {
        let input = Input::new(content);
        for size in [1, 3, 100] {
            let error = input.read(input.cut(size), 10).unwrap_err();
            assert!(
                error.message().starts_with("an input file is not valid UTF-8"),
                "{error}"
            );
            assert_eq!(
                (error.kind(), error.context("byte")),
                (ErrorKind::Invalid, Some(byte))
            );
            assert_eq!(error.context("path"), input.path.to_str());

            let source = input.source.clone().invalid_utf8(InvalidUtf8::Replace);
            let read = drain(open(&source, input.cut(size)).as_mut(), 10).unwrap();
            assert_eq!(read.join("|"), replaced);
        }
    }
}

/// Reads one line, changes the file, and tells what a resumed job and the running one make of it.
fn change(text: &str, change: impl FnOnce(&Path)) -> (Error, Error) {
    let input = Input::new(text);
    let mut reader = open(&input.source, input.cut(u64::MAX));
    poll(reader.as_mut(), 1).unwrap();
    let splits = stored(&reader.snapshot(CheckpointId(1)).unwrap());
    change(&input.path);
    let resumed = verify(&input.source, &splits).unwrap_err();
    (resumed, drain(reader.as_mut(), 100).unwrap_err())
}

#[test]
fn a_changed_file_is_refused_with_the_difference() {
    let long = "line\n".repeat(200_000);
    type Change = fn(&Path);
    let cases: [(&str, Change, &str); 5] = [
        (
            "a\nb\n",
            |path| fs::write(path, "a\nb\nc\n").unwrap(),
            "length in bytes",
        ),
        (
            "a\nb\n",
            |path| fs::write(path, "a\nc\n").unwrap(),
            "checksum of its beginning and end",
        ),
        (
            "a\nb\n",
            |path| {
                File::options()
                    .append(true)
                    .open(path)
                    .unwrap()
                    .set_modified(UNIX_EPOCH + Duration::from_secs(5))
                    .unwrap()
            },
            "time of change",
        ),
        (
            &long,
            |path| {
                File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(9)
                    .unwrap()
            },
            "length in bytes",
        ),
        (
            &long,
            |path| File::create(path).map(drop).unwrap(),
            "length in bytes",
        ),
    ];
    for (text, by, difference) in cases {
        let (resumed, running) = change(text, by);
        assert_eq!(
            (resumed.kind(), running.kind()),
            (ErrorKind::Invalid, ErrorKind::Invalid)
        );
        assert_eq!(resumed.context("difference"), Some(difference), "{resumed}");
        assert!(running.message().starts_with("an input file "), "{running}");
        assert!(resumed.context("path").unwrap().ends_with("in.txt"));
    }
}

#[test]
fn a_file_that_is_gone_is_named() {
    let input = Input::new("a\nb\n");
    let splits = input.cut(9);
    fs::remove_file(&input.path).unwrap();
    for error in [
        verify(&input.source, &splits).unwrap_err(),
        input.read(splits, 1).unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.context("path")),
            (ErrorKind::Invalid, input.path.to_str())
        );
    }
}

#[test]
fn a_checkpoint_of_another_input_is_refused_and_another_name_of_the_same_is_not() {
    let input = Input::new("a\nb\n");
    let other = input.path.with_file_name("other.txt");
    fs::write(&other, "a\nb\n").unwrap();
    let directory = input.path.parent().unwrap();
    let splits = input.cut(9);
    let verify_with = |path: &Path| verify(&TextFileSource::new(path), &splits);
    for same in [&input.path, &directory.join("*.txt"), &directory.join(".")] {
        verify_with(same).unwrap();
    }
    let error = verify_with(&other).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("path")),
        (ErrorKind::Invalid, other.to_str())
    );
    assert_eq!(error.context("input of the checkpoint"), input.path.to_str());
}

#[test]
fn large_files_are_cut_and_small_ones_are_not() {
    const MIB: u64 = 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    for (name, len) in [("a", 0), ("b", 10), ("c", MIB + 1), ("d", 100 * MIB)] {
        File::create(directory.path().join(name))
            .unwrap()
            .set_len(len)
            .unwrap();
    }
    let weights = |parallelism| -> Vec<u64> {
        let splits = discover(&TextFileSource::new(directory.path()), parallelism);
        splits.iter().map(SourceSplit::weight).collect()
    };
    assert_eq!(weights(1), [&[10, MIB, 1][..], &[25 * MIB; 4]].concat());
    assert_eq!(weights(5), [&[10, MIB, 1][..], &[5 * MIB; 20]].concat());
    assert_eq!(weights(40).len(), 3 + 100);
}

#[test]
fn progress_is_in_bytes() {
    let input = Input::new("12345\n12345\n12345\n");
    let mut reader = open(&input.source, input.cut(u64::MAX));
    poll(reader.as_mut(), 2).unwrap();
    assert_eq!((reader.progress().done, reader.progress().total), (12, Some(18)));
}

#[test]
fn a_batch_has_lines_of_one_range_and_each_range_is_named_when_it_is_read() {
    let input = Input::new("one\ntwo\nthree\nfour\nfive\n");
    let mut splits = input.cut(8);
    splits.reverse();
    let last = splits.len() - 1;
    let mut reader = open(&input.source, splits);
    let mut told = Vec::new();
    while let Some(records) = poll(reader.as_mut(), 100).unwrap() {
        told.push((records, reader.current_split().unwrap(), reader.take_finished()));
    }
    let records: Vec<String> = told.iter().flat_map(|(records, ..)| records.clone()).collect();
    assert_eq!(records, lines("one\ntwo\nthree\nfour\nfive\n"));
    assert_eq!((told[0].1, told[0].0.len()), (last, 2));
    let finished: Vec<usize> = told.iter().flat_map(|(.., finished)| finished.clone()).collect();
    assert_eq!(finished, (0..=last).rev().collect::<Vec<_>>());
}
