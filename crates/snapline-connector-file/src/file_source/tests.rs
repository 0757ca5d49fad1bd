//! What a file source finds, reads, and says of what it cannot read.

use super::*;
use crate::testing::{drain, open, poll, stored};
use futures::executor::block_on;
use snapline_connector::{DiscoveryContext, DiscoveryOutlook, SeenSplits, SkippedRecords, SourceSplit};
use snapline_core::{CheckpointId, Error, ErrorKind};
use std::fs;
use std::sync::Mutex;
use tempfile::TempDir;

/// A folder with files.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(crate::testing::directory());
        files.iter().for_each(|(name, content)| folder.add(name, content));
        folder
    }

    fn add(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn discover<T: Data>(source: &FileSource<T>, seen: &mut SeenSplits) -> (Vec<FileSplit>, DiscoveryOutlook) {
    let mut enumerator = source.enumerator().unwrap();
    let context = DiscoveryContext { parallelism: 2 };
    let found = block_on(enumerator.discover_new(&context, seen)).unwrap();
    (found.splits, found.outlook)
}

fn splits<T: Data>(source: &FileSource<T>) -> Vec<FileSplit> {
    discover(source, &mut SeenSplits::default()).0
}

fn read<T: Data>(source: &FileSource<T>) -> Result<Vec<T>> {
    drain(open(source, splits(source)).as_mut(), 3)
}

fn names(splits: &[FileSplit]) -> Vec<&str> {
    let names = splits.iter().map(|split| split.path.rsplit('/').next().unwrap());
    names.collect()
}

const TEXTS: [&str; 6] = [
    "",
    "one",
    "one\ntwo\nthree\n",
    "one\r\n\r\ntwo\rstill two\r",
    "\n\n\nafter empty lines",
    "ü\n€uro\n😀😀\r\n日本語",
];

#[test]
fn every_line_is_in_exactly_one_range_wherever_a_file_is_cut_and_reading_stops() {
    for text in TEXTS {
        let folder = Folder::with(&[("in", text.as_bytes())]);
        let source = FileSource::lines(folder.path("in"));
        let path = folder.path("in");
        let file = crate::fingerprint::Fingerprint::of(&path).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for size in 1..=text.len() as u64 + 1 {
            for cut in 0..=lines.len() {
                let splits = FileSplit::cut(
                    path.to_str().unwrap(),
                    file,
                    size,
                    Compression::None,
                    FileOrder::Path,
                );
                let mut reader = open(&source, splits);
                let mut read = Vec::new();
                while read.len() < cut {
                    read.extend(poll(reader.as_mut(), cut - read.len()).unwrap().unwrap());
                }
                let left = stored(&reader.snapshot(CheckpointId(1)).unwrap());
                block_on(source.enumerator().unwrap().verify(&left)).unwrap();
                read.extend(drain(open(&source, left).as_mut(), 2).unwrap());
                assert_eq!(read, lines, "{text:?} by {size}, cut after {cut}");
            }
        }
    }
}

#[test]
fn files_are_found_once_and_the_marker_says_when_all_are_there() {
    let folder = Folder::with(&[("a", b"1"), (".hidden", b"2"), ("empty", b"")]);
    let source = FileSource::lines(folder.path(""))
        .watch(Duration::from_secs(1))
        .until_exists(folder.path("_SUCCESS"));
    let mut seen = SeenSplits::default();
    let (found, outlook) = discover(&source, &mut seen);
    assert_eq!(
        (names(&found), outlook),
        (vec!["a"], DiscoveryOutlook::MoreMayCome)
    );
    folder.add("b", "3");
    let (found, _) = discover(&source, &mut seen);
    assert_eq!(names(&found), ["b"]);
    folder.add("c", "4");
    folder.add("_SUCCESS", "");
    let (found, outlook) = discover(&source, &mut seen);
    assert_eq!((names(&found), outlook), (vec!["c"], DiscoveryOutlook::Complete));
}

#[test]
fn a_file_that_was_seen_stays_seen_when_its_folder_is_written_in_another_way() {
    let folder = Folder::with(&[("a", b"1"), ("in/b", b"2")]);
    let mut seen = SeenSplits::default();
    let (found, _) = discover(&FileSource::lines(folder.path("**/*")), &mut seen);
    assert_eq!(names(&found), ["a", "b"]);
    for other in ["", "in/..", "in", "in/../in/."] {
        let (found, _) = discover(&FileSource::lines(folder.path(other)), &mut seen);
        assert!(found.is_empty(), "{other}");
    }
}

#[test]
fn an_empty_folder_is_an_error_unless_it_is_watched() {
    let folder = Folder::with(&[]);
    let source = FileSource::lines(folder.path(""));
    let mut enumerator = source.enumerator().unwrap();
    let context = DiscoveryContext { parallelism: 1 };
    let error = block_on(enumerator.discover(&context)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(splits(&source.watch(Duration::from_secs(1))).is_empty());
}

#[test]
fn files_are_read_in_the_order_that_is_wanted() {
    let folder = Folder::with(&[("a", b"a"), ("b", b"b"), ("c", b"c")]);
    for (name, seconds) in [("a", 20), ("b", 30), ("c", 10)] {
        let file = fs::File::options().append(true).open(folder.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }
    let source = || FileSource::lines(folder.path(""));
    assert_eq!(read(&source()).unwrap(), ["a", "b", "c"]);
    assert_eq!(
        read(&source().order(FileOrder::Modified)).unwrap(),
        ["c", "a", "b"]
    );
}

#[test]
fn records_know_the_folders_of_their_file() {
    let folder = Folder::with(&[("day=1/x.log", b"a\nb"), ("day=2/city=Rome/x.log", b"c")]);
    let source = FileSource::lines(folder.path("**/*.log")).with_origin(|line, file| {
        let partitions: Vec<_> = file
            .partitions()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        format!("{} {line}", partitions.join(","))
    });
    let expected = ["day:1 a", "day:1 b", "day:2,city:Rome c"];
    let mut found = read(&source).unwrap();
    found.sort_by_key(|record| record.contains("Rome"));
    assert_eq!(found, expected);
}

/// Numbers on lines, of which some are none.
fn numbers(path: &Path) -> FileSource<u64> {
    FileSource::with_decoder(path, |line| {
        let text = std::str::from_utf8(line).unwrap_or("?");
        text.parse()
            .map_err(|error| Error::invalid("no number").because(error))
    })
}

#[test]
fn what_cannot_be_decoded_fails_with_its_place_or_is_counted_or_handed_over() {
    let folder = Folder::with(&[("in", b"1\n22\nthree\n4\n\xff\n6\n")]);
    let path = folder.path("in");
    let error = read(&numbers(&path)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        [
            error.context("path"),
            error.context("line"),
            error.context("byte")
        ],
        [path.to_str(), Some("3"), Some("5")]
    );
    let skipped = SkippedRecords::default();
    let skipping = numbers(&path).on_undecodable(Undecodable::Skip(skipped.clone()));
    assert_eq!(
        (read(&skipping).unwrap(), skipped.count()),
        (vec![1, 22, 4, 6], 2)
    );
    let letters = Arc::new(Mutex::new(Vec::new()));
    let letter = {
        let letters = letters.clone();
        move |record: UndecodableRecord| {
            letters
                .lock()
                .unwrap()
                .push((record.line, record.byte, record.raw))
        }
    };
    let handing = numbers(&path).on_undecodable(Undecodable::DeadLetter(Arc::new(letter)));
    assert_eq!(read(&handing).unwrap(), [1, 22, 4, 6]);
    let expected = [(3, 5, b"three".to_vec()), (5, 13, vec![0xff])];
    assert_eq!(*letters.lock().unwrap(), expected);
}

#[test]
fn a_file_that_changed_shrank_or_is_gone_is_named() {
    type Change = fn(&Path);
    let cases: [Change; 3] = [
        |path| fs::write(path, "a\nb\nc\nd\n").unwrap(),
        |path| fs::write(path, "a\n").unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for change in cases {
        let folder = Folder::with(&[("in", b"a\nb\nc\n")]);
        let source = FileSource::lines(folder.path(""));
        let mut reader = open(&source, splits(&source));
        poll(reader.as_mut(), 1).unwrap();
        let left = stored(&reader.snapshot(CheckpointId(1)).unwrap());
        change(&folder.path("in"));
        let resumed = block_on(source.enumerator().unwrap().verify(&left)).unwrap_err();
        let running = drain(reader.as_mut(), 10).unwrap_err();
        for error in [resumed, running] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert_eq!(error.context("path"), folder.path("in").to_str());
        }
    }
}

#[test]
fn a_checkpoint_of_files_somewhere_else_is_refused() {
    let (then, now) = (Folder::with(&[("in", b"a\nb")]), Folder::with(&[("in", b"a\nb")]));
    let left = splits(&FileSource::lines(then.path("")));
    let other = FileSource::lines(now.path(""));
    let error = block_on(other.enumerator().unwrap().verify(&left)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn large_plain_files_are_cut_and_compressed_ones_are_not() {
    let folder = Folder::with(&[]);
    for name in ["plain", "packed.gz"] {
        let file = fs::File::create(folder.path(name)).unwrap();
        file.set_len(20 * 1024 * 1024).unwrap();
    }
    let source = FileSource::lines(folder.path(""));
    let weights: Vec<u64> = splits(&source).iter().map(SourceSplit::weight).collect();
    assert_eq!(weights.len(), 1 + 8);
}

#[cfg(feature = "json")]
#[test]
fn json_lines_are_records() {
    let folder = Folder::with(&[("in", b"[1,\"a\"]\n\n[2,\"b\"]\n{}\n")]);
    let source = FileSource::<(u64, String)>::json_lines(folder.path("in"));
    let error = read(&source).unwrap_err();
    assert_eq!(
        (error.context("line"), error.context("byte")),
        (Some("4"), Some("17"))
    );
    let skipping = source.on_undecodable(Undecodable::Skip(SkippedRecords::default()));
    assert_eq!(
        read(&skipping).unwrap(),
        [(1, "a".to_owned()), (2, "b".to_owned())]
    );
}

#[cfg(feature = "csv")]
mod of_csv {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u64,
        text: String,
    }

    const TEXT: &[u8] = b"text,id\na,1\n\"two\nlines, and \"\"quotes\"\"\",2\n\nc,3\n";

    fn expected() -> Vec<Order> {
        let orders = [(1, "a"), (2, "two\nlines, and \"quotes\""), (3, "c")];
        let order = |(id, text): (u64, &str)| Order {
            id,
            text: text.to_owned(),
        };
        orders.map(order).to_vec()
    }

    #[test]
    fn values_go_to_the_fields_with_their_names_and_reading_resumes_at_the_next_line() {
        let folder = Folder::with(&[("in.csv", TEXT)]);
        let source = FileSource::<Order>::csv(folder.path(""));
        for cut in 0..=3 {
            let mut reader = open(&source, splits(&source));
            let mut read = Vec::new();
            while read.len() < cut {
                read.extend(poll(reader.as_mut(), 1).unwrap().unwrap());
            }
            let left = stored(&reader.snapshot(CheckpointId(1)).unwrap());
            read.extend(drain(open(&source, left).as_mut(), 2).unwrap());
            assert_eq!(read, expected(), "cut after {cut}");
        }
    }

    #[test]
    fn values_without_names_go_to_the_fields_in_their_order() {
        let folder = Folder::with(&[("in.csv", b"1;a\n2;b")]);
        let format = CsvFormat::new().delimiter(b';').without_headers();
        let source = FileSource::<(u64, String)>::csv_with(folder.path(""), format);
        assert_eq!(read(&source).unwrap(), [(1, "a".to_owned()), (2, "b".to_owned())]);
    }

    #[test]
    fn a_line_that_does_not_fit_is_named() {
        for (text, line) in [
            (&b"text,id\na,1\nb,x\n"[..], "3"),
            (b"text,id\n\"a\n\",1\nb\n", "4"),
            (b"text,id\r\na,1\r\n\r\nb,x\r\n", "4"),
        ] {
            let folder = Folder::with(&[("in.csv", text)]);
            let error = read(&FileSource::<Order>::csv(folder.path(""))).unwrap_err();
            assert_eq!(error.context("line"), Some(line), "{error}");
        }
    }
}

#[cfg(feature = "gzip")]
mod compressed {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_files_are_read_and_resumed_at_every_record() {
        let lines: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
        let (first, second) = (lines[..9].join("\n") + "\n", lines[9..].join("\n"));
        let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
        let folder = Folder::with(&[("in.gz", &members)]);
        let source = FileSource::lines(folder.path(""));
        for cut in 0..=lines.len() {
            let mut reader = open(&source, splits(&source));
            let mut read = Vec::new();
            while read.len() < cut {
                read.extend(poll(reader.as_mut(), cut - read.len()).unwrap().unwrap());
            }
            let left = stored(&reader.snapshot(CheckpointId(1)).unwrap());
            read.extend(drain(open(&source, left).as_mut(), 4).unwrap());
            assert_eq!(read, lines, "cut after {cut}");
        }
    }

    #[test]
    fn a_compressed_file_that_was_cut_short_is_named() {
        let whole = gzip("0123456789\n".repeat(1000).as_bytes());
        let folder = Folder::with(&[("in.gz", &whole[..whole.len() / 2])]);
        let error = read(&FileSource::lines(folder.path(""))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("path"), folder.path("in.gz").to_str());
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn the_end_of_a_name_or_a_setting_says_how_a_file_is_compressed() {
        let zstd = zstd::stream::encode_all(&b"by zstd"[..], 1).unwrap();
        let folder = Folder::with(&[("a.gz", &gzip(b"by gzip")), ("b.zst", &zstd), ("c.txt", b"plain")]);
        let source = FileSource::lines(folder.path(""));
        assert_eq!(read(&source).unwrap(), ["by gzip", "by zstd", "plain"]);
        let named = Folder::with(&[("a.bin", &gzip(b"by gzip"))]);
        let source = FileSource::lines(named.path("")).compression(Compression::Gzip);
        assert_eq!(read(&source).unwrap(), ["by gzip"]);
    }
}
