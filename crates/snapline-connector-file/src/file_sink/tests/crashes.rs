//! Two writers and a committer run as a job runs them, and stop at each step, twice.

use super::*;

const RECORDS: u64 = 7;
const WRITERS: u32 = 2;

/// The process ended here.
struct Crash;

/// Counts steps and stops at one of them.
struct Steps {
    left: usize,
}

impl Steps {
    fn step(&mut self) -> Result<(), Crash> {
        self.left = self.left.checked_sub(1).ok_or(Crash)?;
        Ok(())
    }
}

/// What survives: the newest complete checkpoint.
#[derive(Clone, Default)]
struct Checkpoint {
    id: Option<u64>,
    position: u64,
    parts: Vec<FileSinkPart>,
}

/// Which ids were used, for checkpoints and attempts.
#[derive(Default)]
struct Ids {
    checkpoint: u64,
    attempt: u64,
}

/// Runs the job from the newest checkpoint to its end or to the crash.
fn run(sink: &FileSink<u64>, newest: &mut Checkpoint, ids: &mut Ids, steps: &mut Steps) -> Result<(), Crash> {
    ids.attempt += 1;
    if !newest.parts.is_empty() {
        commit_in_two(sink, &newest.parts, steps)?;
    }
    recover(sink, newest.id).unwrap();
    steps.step()?;
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|subtask| writer(sink, subtask, ids.attempt).unwrap())
        .collect();
    let mut position = newest.position;
    // The committables of a checkpoint that was given up go on with the next one.
    let mut carried = Vec::new();
    while position < RECORDS {
        for _ in 0..2 {
            if position < RECORDS {
                write(
                    &mut writers[(position % u64::from(WRITERS)) as usize],
                    &[position],
                )
                .unwrap();
                position += 1;
                steps.step()?;
            }
        }
        ids.checkpoint += 1;
        let id = CheckpointId(ids.checkpoint);
        let preparing: Vec<_> = writers
            .iter_mut()
            .map(|writer| writer.prepare_commit(id).unwrap())
            .collect();
        steps.step()?;
        for future in preparing {
            carried.extend(block_on(future).unwrap());
            steps.step()?;
        }
        let is_given_up = id.0 % 3 == 2 && position < RECORDS;
        if is_given_up {
            continue;
        }
        *newest = Checkpoint {
            id: Some(id.0),
            position,
            parts: stored(&std::mem::take(&mut carried)),
        };
        steps.step()?;
        commit_in_two(sink, &newest.parts, steps)?;
    }
    Ok(())
}

/// A commit that can be cut off between two files.
fn commit_in_two(sink: &FileSink<u64>, parts: &[FileSinkPart], steps: &mut Steps) -> Result<(), Crash> {
    commit(sink, &parts[..1]).unwrap();
    steps.step()?;
    commit(sink, parts).unwrap();
    steps.step()
}

/// All visible records, which may not repeat.
fn records(directory: &Path) -> Vec<u64> {
    let mut records: Vec<u64> = visible(directory)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    records.sort_unstable();
    records
}

/// Crashes after `first` steps and again after `second`, then runs to the end. Whether the first one
/// was before the end.
fn check(first: usize, second: usize, roll_at: u64) -> bool {
    let root = directory();
    let sink = FileSink::lines(root.path()).roll_at(roll_at);
    let (mut newest, mut ids) = (Checkpoint::default(), Ids::default());
    let mut crashed = Vec::new();
    for left in [first, second, usize::MAX] {
        let outcome = run(&sink, &mut newest, &mut ids, &mut Steps { left });
        crashed.push(outcome.is_err());
        let seen = records(root.path());
        let prefix: Vec<u64> = (0..seen.len() as u64).collect();
        assert!(
            seen.iter().all(|record| *record < newest.position),
            "seen too early: {seen:?}"
        );
        if outcome.is_ok() || newest.parts.is_empty() {
            assert_eq!(seen, prefix, "crashes after {first} and {second} steps");
        }
        if outcome.is_ok() {
            break;
        }
    }
    assert_eq!(
        records(root.path()),
        (0..RECORDS).collect::<Vec<_>>(),
        "after {first} and {second} steps"
    );
    assert_eq!(hidden(root.path()), 0, "after {first} and {second} steps");
    crashed[0]
}

#[test]
fn every_record_is_visible_once_wherever_the_job_crashes_twice() {
    for roll_at in [1, 1000] {
        let mut first = 0;
        while check(first, first / 2, roll_at) {
            for second in 0..6 {
                check(first, second, roll_at);
            }
            first += 1;
        }
        assert!(first > 20, "only {first} steps were cut off");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_read_any_more_takes_its_output_back() {
    let root = directory();
    let sink = FileSink::lines(root.path());
    let (mut newest, mut ids) = (Checkpoint::default(), Ids::default());
    let mut older = Checkpoint::default();
    for left in 0..40 {
        let before = newest.clone();
        let outcome = run(&sink, &mut newest, &mut ids, &mut Steps { left });
        if newest.id != before.id && before.id.is_some() {
            older = before;
        }
        if outcome.is_ok() {
            break;
        }
    }
    assert!(older.position > 0 && older.position < RECORDS);
    run(&sink, &mut older, &mut ids, &mut Steps { left: usize::MAX })
        .unwrap_or_else(|Crash| panic!("it crashed"));
    assert_eq!(records(root.path()), (0..RECORDS).collect::<Vec<_>>());
}
