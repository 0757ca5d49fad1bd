//! Records that are divided among folders.

use super::*;

/// By the tens of a number.
fn by_tens(root: &Path) -> FileSink<u64> {
    FileSink::lines(root).bucket_by(|number| format!("tens={}", number / 10))
}

/// The visible files below a directory, by their paths.
fn paths_below(directory: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for name in names(directory) {
        if directory.join(&name).is_dir() {
            let below = paths_below(&directory.join(&name)).into_iter();
            paths.extend(below.map(|path| format!("{name}/{path}")));
        } else if name.starts_with("part-") {
            paths.push(name);
        }
    }
    paths
}

/// The contents of the visible files below a directory.
pub(super) fn visible_below(directory: &Path) -> Vec<String> {
    let paths = paths_below(directory).into_iter();
    paths
        .map(|path| fs::read_to_string(directory.join(path)).unwrap())
        .collect()
}

/// The folders of the visible files, with what is in them.
fn folders(directory: &Path) -> Vec<(String, String)> {
    let bucket = |path: String| {
        path.rsplit_once('/')
            .map_or(String::new(), |(bucket, _)| bucket.to_owned())
    };
    let buckets = paths_below(directory).into_iter().map(bucket);
    buckets.zip(visible_below(directory)).collect()
}

fn expected(folders: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(folder, content): &(&str, &str)| ((*folder).to_owned(), (*content).to_owned());
    folders.iter().map(owned).collect()
}

#[test]
fn each_record_is_in_the_folder_of_its_bucket_when_its_checkpoint_is_complete() {
    let root = directory();
    let sink = by_tens(root.path());
    recover(&sink, None).unwrap();
    let mut writer = writer(&sink, 0, 1).unwrap();
    write(&mut writer, &[11, 23, 12, 24, 5]).unwrap();
    write(&mut writer, &[13]).unwrap();
    let parts = prepare(&mut writer, 1).unwrap();
    assert_eq!((paths_below(root.path()), hidden(root.path())), (vec![], 3));
    for _ in 0..2 {
        commit(&sink, &parts).unwrap();
        let all = [
            ("tens=0", "5\n"),
            ("tens=1", "11\n12\n13\n"),
            ("tens=2", "23\n24\n"),
        ];
        assert_eq!(folders(root.path()), expected(&all));
    }
    write(&mut writer, &[14]).unwrap();
    let parts = prepare(&mut writer, 2).unwrap();
    assert_eq!(parts.len(), 1, "a bucket without records has a file");
    commit(&sink, &parts).unwrap();
    assert_eq!(
        folders(root.path())[1..3],
        expected(&[("tens=1", "11\n12\n13\n"), ("tens=1", "14\n")])
    );
    assert_eq!(hidden(root.path()), 0);
}

#[test]
fn what_comes_after_the_restored_checkpoint_is_withdrawn_from_folders_too() {
    let root = directory();
    let sink = by_tens(root.path());
    recover(&sink, None).unwrap();
    let mut writer = writer(&sink, 0, 1).unwrap();
    for (checkpoint, number) in [(1, 11), (2, 12), (3, 23)] {
        write(&mut writer, &[number]).unwrap();
        commit(&sink, &prepare(&mut writer, checkpoint).unwrap()).unwrap();
    }
    recover(&sink, Some(2)).unwrap();
    let rest = [("tens=1", "11\n"), ("tens=1", "12\n")];
    assert_eq!(folders(root.path()), expected(&rest));

    let error = recover(&sink, None).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("files")),
        (ErrorKind::Invalid, Some("2"))
    );
    recover(&by_tens(root.path()).on_existing(ExistingOutput::Replace), None).unwrap();
    assert_eq!(folders(root.path()), []);
}

#[test]
fn folders_of_another_sink_and_hidden_ones_are_never_touched() {
    let root = directory();
    let names = ["own", ".hidden", "tens=1/deep"];
    let [own, hidden, deep] = names.map(|name| root.path().join(name));
    for folder in [&own, &hidden, &deep] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("part-00000-00000000000000000009-1-0"), "").unwrap();
        fs::write(folder.join("notes"), "").unwrap();
    }
    fs::write(own.join(".part-owner"), "operator other of job job").unwrap();
    let sink = by_tens(root.path()).on_existing(ExistingOutput::Replace);
    recover(&sink, None).unwrap();
    let left = |folder| super::names(folder).len();
    assert_eq!((left(&own), left(&hidden), left(&deep)), (3, 2, 1));
}

#[test]
fn a_sink_without_buckets_leaves_folders_alone() {
    let root = directory();
    let sink = by_tens(root.path());
    recover(&sink, None).unwrap();
    let mut writer = writer(&sink, 0, 1).unwrap();
    write(&mut writer, &[11]).unwrap();
    commit(&sink, &prepare(&mut writer, 1).unwrap()).unwrap();
    recover(&FileSink::lines(root.path()), None).unwrap();
    assert_eq!(folders(root.path()), expected(&[("tens=1", "11\n")]));
}

#[test]
fn there_may_be_more_buckets_than_open_files_and_more_records_than_buffers() {
    let root = directory();
    let sink = by_tens(root.path()).roll_at(200);
    let mut writer = writer(&sink, 0, 1).unwrap();
    let numbers: Vec<u64> = (0..5_000).map(|index| index * 37 % 200).collect();
    for batch in numbers.chunks(64) {
        write(&mut writer, batch).unwrap();
    }
    let parts = prepare(&mut writer, 1).unwrap();
    assert!(parts.len() > 20, "no file is long enough");
    commit(&sink, &parts).unwrap();
    let mut lines: Vec<(String, Vec<u64>)> = Vec::new();
    for (folder, content) in folders(root.path()) {
        let numbers = content.lines().map(|line| line.parse::<u64>().unwrap());
        match lines.last_mut().filter(|(last, _)| *last == folder) {
            Some((_, all)) => all.extend(numbers),
            None => lines.push((folder, numbers.collect())),
        }
    }
    lines.sort();
    let mut in_order: Vec<(String, Vec<u64>)> = (0..20)
        .map(|tens| {
            let of_bucket = numbers.iter().copied().filter(|number| number / 10 == tens);
            (format!("tens={tens}"), of_bucket.collect())
        })
        .collect();
    in_order.sort();
    let sorted = |folders: Vec<(String, Vec<u64>)>| -> Vec<(String, Vec<u64>)> {
        let sorted = |(folder, mut numbers): (String, Vec<u64>)| {
            numbers.sort_unstable();
            (folder, numbers)
        };
        folders.into_iter().map(sorted).collect()
    };
    assert_eq!(sorted(lines), sorted(in_order));
    assert_eq!(hidden(root.path()), 0);
}

#[test]
fn a_bucket_that_is_no_folder_below_the_directory_is_refused() {
    let root = directory();
    let sink = FileSink::lines(root.path()).bucket_by(|_: &u64| "../elsewhere");
    let error = write(&mut writer(&sink, 0, 1).unwrap(), &[1]).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("given")),
        (ErrorKind::Invalid, Some("\"../elsewhere\""))
    );
}

#[test]
fn a_zombie_is_told_that_a_file_was_removed_which_it_had_closed() {
    let root = directory();
    let sink = by_tens(root.path());
    let mut zombie = writer(&sink, 0, 1).unwrap();
    let many: Vec<u64> = (0..2_000).collect();
    write(&mut zombie, &many).unwrap();
    recover(&sink, None).unwrap();
    let error = write(&mut zombie, &many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.message().starts_with("an output file has vanished"),
        "{error}"
    );
}
