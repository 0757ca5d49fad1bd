//! A sink, call by call. `crashes` runs it as a job does, and stops everywhere; `suite` is that of all sinks; `buckets` has
//! folders.

mod buckets;
mod crashes;
mod suite;

use super::*;
use crate::testing::{directory, stored};
use futures::executor::block_on;
use snapline_core::{AttemptId, Batch, CheckpointId, ErrorKind, JobId, OperatorUid, SubtaskIndex};
use std::fmt;
use std::fs;

/// Later than that of any writer here.
const LATER: AttemptId = AttemptId(u64::MAX);

type Writer = Box<dyn SinkWriter<u64, FileSinkPart>>;

fn writer(sink: &FileSink<u64>, subtask: u32, attempt: u64) -> Result<Writer> {
    sink.writer(WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(subtask),
        parallelism: 2,
        attempt: AttemptId(attempt),
    })
}

fn committer(sink: &FileSink<u64>, operator: &str) -> Result<Box<dyn Committer<FileSinkPart>>> {
    sink.committer(CommitterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text(operator),
        attempt: AttemptId(1),
    })
}

fn recover(sink: &FileSink<u64>, restored: Option<u64>) -> Result<()> {
    block_on(committer(sink, "sink")?.recover(LATER, restored.map(CheckpointId)))
}

fn commit(sink: &FileSink<u64>, parts: &[FileSinkPart]) -> Result<()> {
    block_on(committer(sink, "sink")?.commit(stored(&parts.to_vec())))
}

fn write(writer: &mut Writer, records: &[u64]) -> Result<()> {
    let mut batch = Batch::from(records.to_vec());
    writer.write(&mut batch)?;
    assert!(batch.is_empty());
    Ok(())
}

fn prepare(writer: &mut Writer, checkpoint: u64) -> Result<Vec<FileSinkPart>> {
    block_on(writer.prepare_commit(CheckpointId(checkpoint))?)
}

/// The content of all visible files in the order of their names.
fn visible(directory: &Path) -> String {
    let names = names(directory);
    let visible = names.iter().filter(|name| name.starts_with("part-"));
    visible
        .map(|name| fs::read_to_string(directory.join(name)).unwrap())
        .collect()
}

/// The files that wait for a checkpoint or are written to.
fn hidden_names(directory: &Path) -> Vec<String> {
    let is_hidden = |name: &String| name.starts_with('.') && name != ".part-owner";
    names(directory).into_iter().filter(is_hidden).collect()
}

/// How many there are.
fn hidden(directory: &Path) -> usize {
    hidden_names(directory).len()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn s01_records_are_visible_when_their_checkpoint_is_complete() {
    let root = directory();
    let sink = FileSink::lines(root.path());
    let mut writer = writer(&sink, 0, 1).unwrap();
    let mut parts = Vec::new();
    for (record, checkpoint) in [(42, 1), (43, 2), (44, 3)] {
        write(&mut writer, &[record]).unwrap();
        parts.push(prepare(&mut writer, checkpoint).unwrap());
    }
    assert_eq!((visible(root.path()).as_str(), hidden(root.path())), ("", 3));
    commit(&sink, &parts[..2].concat()).unwrap();
    assert_eq!(
        (visible(root.path()).as_str(), hidden(root.path())),
        ("42\n43\n", 1)
    );
}

#[test]
fn s03_after_the_disk_failed_the_restored_checkpoint_is_committed_and_the_rest_removed() {
    let root = directory();
    let sink = FileSink::lines(root.path().join("out")).roll_at(1);
    let away = root.path().join("away");
    let mut first = writer(&sink, 0, 1).unwrap();
    write(&mut first, &[42, 43]).unwrap();
    let parts = prepare(&mut first, 1).unwrap();
    write(&mut first, &[44]).unwrap();
    fs::rename(root.path().join("out"), &away).unwrap();
    let error = write(&mut first, &[45]).unwrap_err();
    assert!(
        error
            .context("path")
            .unwrap()
            .contains("out/.part-00000-1-2.inprogress"),
        "{error}"
    );
    fs::rename(&away, root.path().join("out")).unwrap();

    commit(&sink, &parts).unwrap();
    recover(&sink, Some(1)).unwrap();
    let out = root.path().join("out");
    assert_eq!((visible(&out).as_str(), hidden(&out)), ("42\n43\n", 0));
}

#[test]
fn a_commit_can_be_repeated() {
    let root = directory();
    let sink = FileSink::lines(root.path());
    let mut writer = writer(&sink, 0, 1).unwrap();
    write(&mut writer, &[1]).unwrap();
    let mut parts = prepare(&mut writer, 1).unwrap();
    commit(&sink, &parts).unwrap();
    write(&mut writer, &[2]).unwrap();
    parts.extend(prepare(&mut writer, 2).unwrap());
    for _ in 0..3 {
        commit(&sink, &parts).unwrap();
        assert_eq!(visible(root.path()), "1\n2\n");
    }
}

#[test]
fn damage_to_files_of_a_checkpoint_is_told() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 2] = [
        (
            |path| fs::remove_file(path).unwrap(),
            "an output file of the checkpoint is neither",
        ),
        (
            |path| fs::write(path, "").unwrap(),
            "an output file does not have the length",
        ),
    ];
    for (damage, message) in cases {
        for committed in [false, true] {
            let root = directory();
            let sink = FileSink::lines(root.path());
            let mut writer = writer(&sink, 0, 1).unwrap();
            write(&mut writer, &[1]).unwrap();
            let parts = prepare(&mut writer, 1).unwrap();
            if committed {
                commit(&sink, &parts).unwrap();
            }
            let name = if committed {
                &parts[0].committed
            } else {
                &parts[0].pending
            };
            damage(&root.path().join(name));
            let error = commit(&sink, &parts).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().starts_with(message), "{error}");
        }
    }
}

#[test]
fn what_comes_after_the_restored_checkpoint_is_withdrawn() {
    let cases = [(Some(3), "1\n2\n"), (Some(2), "1\n2\n"), (Some(1), "1\n")];
    for (restored, expected) in cases {
        let root = directory();
        let sink = FileSink::lines(root.path());
        let mut writer = writer(&sink, 0, 1).unwrap();
        for number in [1, 2] {
            write(&mut writer, &[number]).unwrap();
            commit(&sink, &prepare(&mut writer, number).unwrap()).unwrap();
        }
        recover(&sink, restored).unwrap();
        assert_eq!(visible(root.path()), expected, "{restored:?}");
    }
}

#[test]
fn a_job_that_starts_at_the_beginning_does_not_mix_its_results_with_others() {
    let root = directory();
    let refusing = || FileSink::lines(root.path());
    recover(&refusing(), None).unwrap();
    let mut writer = writer(&refusing(), 0, 1).unwrap();
    write(&mut writer, &[1]).unwrap();
    let parts = prepare(&mut writer, 1).unwrap();
    recover(&refusing(), None).unwrap();
    assert_eq!(
        hidden(root.path()),
        0,
        "a file that no checkpoint refers to was kept"
    );

    write(&mut writer, &[2]).unwrap();
    commit(&refusing(), &prepare(&mut writer, 2).unwrap()).unwrap();
    let error = recover(&refusing(), None).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("files")),
        (ErrorKind::Invalid, Some("1"))
    );
    assert_eq!(visible(root.path()), "2\n");
    recover(&refusing().on_existing(ExistingOutput::Replace), None).unwrap();
    assert_eq!(names(root.path()), [".part-owner"]);
    assert!(commit(&refusing(), &parts).is_err());
}

#[test]
fn a_job_that_resumes_is_told_when_its_results_are_gone() {
    let root = directory();
    let out = root.path().join("out");
    let sink = FileSink::lines(&out);
    recover(&sink, None).unwrap();
    fs::remove_dir_all(&out).unwrap();
    for _ in 0..2 {
        let error = recover(&sink, Some(3)).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("path")),
            (ErrorKind::Invalid, out.to_str())
        );
    }
    fs::create_dir(&out).unwrap();
    recover(&sink, Some(3)).unwrap();
}

#[test]
fn other_files_are_never_touched() {
    let others = [
        "part-00000",
        ".part-x.pending",
        "part-00000-00000000000000000009-1-0.csv",
        "notes.txt",
    ];
    let root = directory();
    for name in others {
        fs::write(root.path().join(name), "mine").unwrap();
    }
    let sink = FileSink::lines(root.path()).on_existing(ExistingOutput::Replace);
    recover(&sink, None).unwrap();
    recover(&sink, Some(1)).unwrap();
    let mut expected = others.to_vec();
    expected.push(".part-owner");
    expected.sort_unstable();
    assert_eq!(names(root.path()), expected);
}

#[test]
fn a_directory_belongs_to_one_sink() {
    let root = directory();
    let sink = FileSink::lines(root.path());
    recover(&sink, None).unwrap();
    let mut other = committer(&sink, "other").unwrap();
    for restored in [None, Some(CheckpointId(1))] {
        let error = block_on(other.recover(LATER, restored)).unwrap_err();
        assert_eq!(
            error.context("owner"),
            Some("operator sink of job job"),
            "{error}"
        );
    }
    let taking = FileSink::lines(root.path()).on_existing(ExistingOutput::Replace);
    block_on(committer(&taking, "other").unwrap().recover(LATER, None)).unwrap();
    let mut writer = writer(&sink, 0, 1).unwrap();
    write(&mut writer, &[1]).unwrap();
    let error = commit(&sink, &prepare(&mut writer, 1).unwrap()).unwrap_err();
    assert_eq!(
        (error.kind(), visible(root.path()).as_str()),
        (ErrorKind::Invalid, "")
    );
}

#[test]
fn a_zombie_is_told_that_its_file_was_removed() {
    let root = directory();
    let sink = FileSink::lines(root.path()).roll_at(1);
    let mut zombie = writer(&sink, 0, 1).unwrap();
    write(&mut zombie, &[1]).unwrap();
    let preparing = zombie.prepare_commit(CheckpointId(1)).unwrap();
    recover(&sink, None).unwrap();
    let mut next = writer(&sink, 0, 2).unwrap();
    write(&mut next, &[1]).unwrap();
    let parts = prepare(&mut next, 1).unwrap();
    assert_eq!(block_on(preparing).unwrap_err().kind(), ErrorKind::Conflict);
    commit(&sink, &parts).unwrap();
    assert_eq!((visible(root.path()).as_str(), hidden(root.path())), ("1\n", 0));
}

#[test]
fn two_writers_with_the_same_subtask_and_attempt_collide() {
    let root = directory();
    let sink = FileSink::lines(root.path()).roll_at(1);
    write(&mut writer(&sink, 0, 1).unwrap(), &[1]).unwrap();
    let error = write(&mut writer(&sink, 0, 1).unwrap(), &[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn files_roll_by_size_and_a_checkpoint_without_records_has_none() {
    let root = directory();
    let sink = FileSink::lines(root.path()).roll_at(4).suffix(".txt");
    let mut writer = writer(&sink, 7, 3).unwrap();
    assert_eq!(prepare(&mut writer, 1).unwrap(), []);
    for records in [&[1][..], &[2], &[3, 4, 5], &[], &[6]] {
        write(&mut writer, records).unwrap();
    }
    let parts = prepare(&mut writer, 2).unwrap();
    commit(&sink, &parts).unwrap();
    let names: Vec<_> = parts.iter().map(|part| part.committed.as_str()).collect();
    let expected = [0, 1, 2].map(|number| format!("part-00007-00000000000000000002-3-{number}.txt"));
    assert_eq!(names, expected);
    assert_eq!(parts.iter().map(|part| part.len).collect::<Vec<_>>(), [4, 6, 2]);
    assert_eq!(visible(root.path()), "1\n2\n3\n4\n5\n6\n");
    assert_eq!(prepare(&mut writer, 3).unwrap(), []);
}

#[test]
fn output_larger_than_the_buffer_arrives_whole() {
    let root = directory();
    let sink = FileSink::with_encoder(root.path(), |record: &u64, buffer| {
        buffer.extend(record.to_be_bytes())
    });
    let mut writer = writer(&sink, 0, 1).unwrap();
    let records: Vec<u64> = (0..100_000).collect();
    records
        .chunks(1000)
        .for_each(|records| write(&mut writer, records).unwrap());
    let parts = prepare(&mut writer, 1).unwrap();
    commit(&sink, &parts).unwrap();
    let bytes = fs::read(root.path().join(&parts[0].committed)).unwrap();
    assert!(
        bytes
            .chunks(8)
            .map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
            .eq(records)
    );
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let root = directory();
    fs::write(root.path().join("file"), "").unwrap();
    for out in ["file", "file/out", "file/new/out", "nul\0"] {
        let out = root.path().join(out);
        let sink = FileSink::lines(&out);
        for error in [writer(&sink, 0, 1).err(), recover(&sink, None).err()] {
            let error = error.unwrap();
            assert_eq!(
                (error.kind(), error.context("path")),
                (ErrorKind::Invalid, out.to_str())
            );
            assert!(error.message().ends_with("choose another path"), "{error}");
        }
    }
    let sink = FileSink::lines(root.path()).suffix("/x");
    assert!(
        writer(&sink, 0, 1)
            .err()
            .unwrap()
            .message()
            .starts_with("the suffix of output files")
    );
    let url = format!("file://{}/new/out", root.path().display());
    writer(&FileSink::lines(url), 0, 1).unwrap();
    assert_eq!(names(&root.path().join("new/out")), [""; 0]);
}

#[test]
fn a_record_that_cannot_be_displayed_is_refused() {
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let root = directory();
    let sink = FileSink::lines(root.path());
    let context = WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
        attempt: AttemptId(1),
    };
    let error = sink
        .writer(context)
        .unwrap()
        .write(&mut Batch::from(vec![Broken]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Whoever removes the checkpoints of a job starts its attempts anew.
#[test]
fn results_without_checkpoints_are_seen_whatever_the_numbers_of_their_attempts() {
    let root = directory();
    let sink = FileSink::lines(root.path());
    let again = |sink: &FileSink<u64>| block_on(committer(sink, "sink").unwrap().recover(AttemptId(1), None));
    again(&sink).unwrap();
    for attempt in [1, 5] {
        let mut writer = writer(&sink, 0, attempt).unwrap();
        write(&mut writer, &[attempt]).unwrap();
        commit(&sink, &prepare(&mut writer, attempt).unwrap()).unwrap();
    }
    assert_eq!(again(&sink).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(visible(root.path()), "1\n5\n");
    let replacing = FileSink::lines(root.path()).on_existing(ExistingOutput::Replace);
    again(&replacing).unwrap();
    assert_eq!(names(root.path()), [".part-owner"]);
}
