//! What WordCount says when something is wrong, and that it goes on where it can.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use support::{Program, assert_exactly_once, committed_lines, count_words, start, text_of};

/// Enough for some checkpoints each 20 ms.
const TEXT_BYTES: u64 = 8_000_000;
const OFTEN: [&str; 2] = ["--checkpoint-interval-ms", "20"];

/// A program whose input is this text.
fn program(arguments: &[&str], text: impl AsRef<[u8]>) -> Program {
    let program = Program::new(arguments);
    fs::write(program.input(), text).unwrap();
    program
}

/// A program that was killed when it had at least three checkpoints.
fn killed(arguments: &[&str]) -> (Program, String) {
    let text = text_of(TEXT_BYTES, 7);
    let program = program(&[&OFTEN, arguments].concat(), &text);
    let mut running = program.start();
    let checkpoints = program.checkpoints();
    assert!(running.until(|| checkpoints.completed().len() >= 3 && checkpoints.newest_epoch() >= 5));
    assert_eq!(running.kill().code, None, "it ended too early");
    (program, text)
}

#[test]
fn an_input_that_does_not_exist_is_named() {
    let program = Program::new(&[]);
    program.run().assert_failure(1, &["error: ", "input.txt"]);
}

#[test]
fn an_empty_folder_as_input_is_refused() {
    let program = Program::new(&[]);
    fs::create_dir(program.input()).unwrap();
    program.run().assert_failure(1, &["error: ", "input.txt"]);
}

#[test]
fn an_empty_file_has_no_words() {
    let program = program(&[], "");
    program.run().assert_success();
    assert_eq!(committed_lines(&program.output()), [""; 0]);
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_with_file_and_position() {
    let bytes = b"one two\nthree \xff four\n";
    program(&[], bytes).run().assert_failure(
        1,
        &["error: ", "input.txt", "not valid UTF-8", "--lossy", "byte: 14"],
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_when_that_is_wanted() {
    let program = program(&["--lossy"], b"one two\nthree \xff four\n");
    program.run().assert_success();
    assert_exactly_once(&program.output(), &count_words("one two three four"));
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    for name in ["output", "checkpoints"] {
        let program = program(&[], "one two\n");
        fs::write(program.folder().join(name), "I am a file").unwrap();
        program.run().assert_failure(1, &["error: ", name]);
        assert_eq!(
            fs::read_to_string(program.folder().join(name)).unwrap(),
            "I am a file"
        );
    }
}

#[test]
fn a_parallelism_that_cannot_be_is_refused() {
    let cases = [("0", "parallelism must be at least 1"), ("40000", "parallelism")];
    for (parallelism, message) in cases {
        program(&["--parallelism", parallelism], "one\n")
            .run()
            .assert_failure(1, &["error: ", message, parallelism]);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_explained() {
    let cases: [(&[&str], &str); 3] = [
        (&["--paralelism", "2"], "--parallelism"),
        (&["--parallelism", "two"], "invalid value 'two'"),
        (&["--print", "--output", "somewhere"], "cannot be used with"),
    ];
    for (arguments, message) in cases {
        start(arguments).end().assert_failure(2, &[message]);
    }
}

#[test]
fn an_interval_of_zero_is_refused() {
    program(&["--checkpoint-interval-ms", "0"], "one\n")
        .run()
        .assert_failure(1, &["error: ", "--checkpoint-interval-ms must be at least 1"]);
}

#[test]
fn checkpoints_of_another_job_are_refused_by_its_name() {
    let program = program(&[], "one\n");
    fs::create_dir_all(program.checkpoint_folder().join("clicks/epoch")).unwrap();
    program
        .run()
        .assert_failure(1, &["error: ", "belongs to another job", "other job: clicks"]);
}

#[test]
fn a_finished_job_says_that_it_is_finished() {
    let program = program(&[], "one two\n");
    program.run().assert_success();
    let again = program.run();
    again.assert_success();
    assert_eq!(
        again.stderr,
        "resumed from checkpoint 2\nfinished already: everything was counted before, --fresh counts again\n"
    );
    assert_exactly_once(&program.output(), &count_words("one two"));
}

#[test]
fn results_without_checkpoints_and_checkpoints_without_results_are_refused() {
    let program = program(&[], "one two\n");
    program.run().assert_success();
    let aside = program.folder().join("aside");
    for (folder, message) in [
        (program.output(), "the output directory is gone"),
        (
            program.checkpoint_folder(),
            "the output directory already has results",
        ),
    ] {
        fs::rename(&folder, &aside).unwrap();
        let ended = program.run();
        ended.assert_failure(1, &["error: ", message, "--fresh"]);
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&aside, &folder).unwrap();
    }
    program.run().assert_success();
    assert_exactly_once(&program.output(), &count_words("one two"));
}

#[test]
fn another_input_than_that_of_the_checkpoint_is_refused() {
    let (program, _) = killed(&[]);
    let other = program.folder().join("other.txt");
    fs::write(&other, "one two\n").unwrap();
    program
        .reading(&other)
        .run()
        .assert_failure(1, &["error: ", "another input", "other.txt", "--fresh"]);
}

#[test]
fn when_all_checkpoints_are_damaged_the_job_does_not_start_over() {
    let (program, _) = killed(&[]);
    for checkpoint in program.checkpoints().completed() {
        fs::write(checkpoint.join("manifest.json"), "damage").unwrap();
    }
    program.run().assert_failure(
        1,
        &["error: ", "no checkpoint of this job can be restored", "--fresh"],
    );
}

#[test]
fn checkpoints_of_a_newer_format_are_refused() {
    let (program, _) = killed(&[]);
    let newest = program.checkpoints().completed().pop().unwrap();
    let manifest = newest.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, with_version(&text, 99)).unwrap();
    program
        .run()
        .assert_failure(1, &["error: ", "newer version", "99"]);
    fs::write(&manifest, text).unwrap();
    program.run().assert_success();
}

/// A document of another version whose checksum is right: that covers format, version and body.
fn with_version(document: &str, version: u32) -> String {
    let body = document
        .split_once("\"body\": ")
        .unwrap()
        .1
        .trim_end()
        .strip_suffix('}')
        .unwrap()
        .trim_end();
    let format = document
        .split_once("\"format\": \"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let checksum = crc32c::crc32c(format!("{format}\n{version}\n{body}").as_bytes());
    format!(r#"{{"format": "{format}", "version": {version}, "crc32c": {checksum}, "body": {body}}}"#)
}

#[test]
fn a_damaged_newest_checkpoint_is_passed_over() {
    type Damage = fn(&Path);
    let truncate: Damage = |file| {
        let len = fs::metadata(file).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(len / 2)
            .unwrap();
    };
    let flip: Damage = |file| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(file, bytes).unwrap();
    };
    let remove: Damage = |file| fs::remove_file(file).unwrap();
    for damage in [truncate, flip, remove] {
        for which in ["manifest.json", "state"] {
            let (program, text) = killed(&[]);
            let newest = program.checkpoints().completed().pop().unwrap();
            let file = if which == "state" {
                a_file_in(&newest.join("state"))
            } else {
                newest.join(which)
            };
            damage(&file);
            let ended = program.run();
            ended.assert_success();
            let id = newest
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .split_once("-e")
                .unwrap()
                .1;
            let told = ended
                .stderr
                .lines()
                .any(|line| line.contains("checkpoint") && line.contains(id));
            assert!(
                told && ended.stderr.contains("resumed from checkpoint"),
                "{ended:?}"
            );
            assert_exactly_once(&program.output(), &count_words(&text));
        }
    }
}

/// The largest file below a folder.
fn a_file_in(folder: &Path) -> std::path::PathBuf {
    let mut largest = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                largest = largest.max(Some((fs::metadata(&path).unwrap().len(), path)));
            }
        }
    }
    largest.unwrap().1
}

#[test]
fn an_input_that_has_changed_since_the_checkpoint_is_refused() {
    let longer: fn(&Path) = |input| {
        OpenOptions::new()
            .append(true)
            .open(input)
            .unwrap()
            .write_all(b"more\n")
            .unwrap();
    };
    let shorter: fn(&Path) = |input| {
        let len = fs::metadata(input).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(input)
            .unwrap()
            .set_len(len - 7)
            .unwrap();
    };
    let gone: fn(&Path) = |input| fs::remove_file(input).unwrap();
    for change in [longer, shorter, gone] {
        let (program, _) = killed(&[]);
        change(&program.input());
        program.run().assert_failure(1, &["error: ", "input.txt"]);
    }
}

#[test]
fn a_fresh_start_forgets_checkpoints_and_output() {
    let (program, text) = killed(&[]);
    let program = program.with(&["--fresh"]);
    let ended = program.run();
    ended.assert_success();
    assert!(
        ended.stderr.contains("no checkpoint, starting at the beginning"),
        "{ended:?}"
    );
    assert_exactly_once(&program.output(), &count_words(&text));
}

#[test]
fn a_job_resumes_with_another_parallelism() {
    for (before, after) in [("1", "2"), ("2", "1"), ("2", "5")] {
        let (program, text) = killed(&["--parallelism", before]);
        let program = program.with(&["--parallelism", after]);
        let ended = program.run();
        ended.assert_success();
        assert!(ended.stderr.contains("resumed from checkpoint"), "{ended:?}");
        assert_exactly_once(&program.output(), &count_words(&text));
    }
}

#[test]
fn of_two_processes_with_the_same_checkpoints_the_older_one_stops() {
    let text = text_of(3 * TEXT_BYTES, 9);
    let program = program(&OFTEN, &text);
    let checkpoints = program.checkpoints();
    let mut older = program.start();
    assert!(older.until(|| !checkpoints.completed().is_empty()));
    let newer = program.start();
    let older = older.end();
    older.assert_failure(1, &["error: "]);
    // It depends on what it was doing whether it notices at its checkpoint or at its output.
    let reasons = ["another process leads this job", "a newer attempt of the job"];
    assert!(
        reasons.iter().any(|reason| older.stderr.contains(reason)),
        "{older:?}"
    );
    newer.end().assert_success();
    assert_exactly_once(&program.output(), &count_words(&text));
}

#[test]
fn only_final_counts_are_written_when_that_is_wanted() {
    let text = "b a\nc a b a\n";
    let program = program(&["--emit", "final"], text);
    program.run().assert_success();
    let mut lines = committed_lines(&program.output());
    lines.sort();
    assert_eq!(lines, ["a\t3", "b\t2", "c\t1"]);
}

#[test]
fn without_arguments_the_text_that_comes_along_is_counted() {
    let ended = start(&[""; 0]).end();
    ended.assert_success();
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/data/rivers.txt")).unwrap();
    let words: u64 = count_words(&text).values().sum();
    assert_eq!(ended.stdout.lines().count() as u64, words);
    assert!(ended.stdout.contains("barrel\t11\n"), "{}", ended.stdout);
}

#[test]
fn nothing_is_said_when_that_is_wanted() {
    let ended = program(&["--quiet"], "one\n").run();
    ended.assert_success();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}
