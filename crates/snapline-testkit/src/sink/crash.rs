//! A job that crashes at each of its steps, and once more.

use super::job::{Attempt, Committables, records};
use super::{Guarantee, Outcome, Record, Subject};
use futures::executor::block_on;

/// How many records one job writes.
const RECORDS: u64 = 5;
const WRITERS: u64 = 2;
/// Steps that a second crash comes after the first.
const DISTANCES: [usize; 2] = [1, 4];

pub(super) fn every_record_is_visible_once_wherever_the_job_crashes_twice(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| crash_everywhere(subject))
}

/// Runs one job after the other, each from where the last one came to its end, and crashes each twice.
pub(super) fn crash_everywhere(subject: &Subject) {
    let mut job = Job::default();
    let mut first = 0;
    loop {
        let mut crashed = false;
        for second in DISTANCES {
            crashed |= job.finish_after_crashes(subject, [first, second]);
        }
        if !crashed {
            break;
        }
        first += 1;
    }
    assert!(first > 12, "only {first} steps were cut off");
}

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

/// What survives, and which numbers were used.
#[derive(Default)]
struct Job {
    newest: Option<u64>,
    /// Up to which record the newest checkpoint goes.
    position: u64,
    unfinished: Committables,
    checkpoints: u64,
    attempts: u64,
    /// Where the job ends that runs now.
    end: u64,
}

impl Job {
    /// Writes the next few records in spite of crashes, and looks what can be seen. Whether there was a crash.
    fn finish_after_crashes(&mut self, subject: &Subject, crashes: [usize; 2]) -> bool {
        self.end = self.position + RECORDS;
        let mut has_crashed = false;
        for left in crashes.into_iter().chain([usize::MAX]) {
            let outcome = self.run(subject, &mut Steps { left });
            self.check(subject, outcome.is_ok());
            if outcome.is_ok() {
                break;
            }
            has_crashed = true;
        }
        has_crashed
    }

    fn run(&mut self, subject: &Subject, steps: &mut Steps) -> Result<(), Crash> {
        self.attempts += 1;
        let mut attempt = subject.attempt(self.attempts);
        self.commit(&mut attempt, steps)?;
        attempt.recover(self.newest).unwrap();
        subject.assert_nothing_left_behind();
        steps.step()?;
        attempt.open(WRITERS as u32);
        let mut position = self.position;
        // The committables of a checkpoint that is given up go with the next one.
        let mut prepared = Committables::new();
        while position < self.end {
            for _ in 0..2 {
                if position < self.end {
                    attempt.write((position % WRITERS) as usize, &records([position]));
                    position += 1;
                    steps.step()?;
                }
            }
            self.checkpoints += 1;
            for subtask in 0..WRITERS as usize {
                let preparing = attempt.barrier(subtask, self.checkpoints).unwrap();
                steps.step()?;
                prepared.extend(block_on(preparing).unwrap());
                steps.step()?;
            }
            if self.checkpoints % 3 == 2 && position < self.end {
                continue;
            }
            // The epoch record: from here on it is promised.
            self.newest = Some(self.checkpoints);
            self.position = position;
            self.unfinished = std::mem::take(&mut prepared);
            steps.step()?;
            self.commit(&mut attempt, steps)?;
        }
        Ok(())
    }

    /// A commit that can be cut off in the middle, and before anybody hears of it.
    fn commit(&mut self, attempt: &mut Attempt, steps: &mut Steps) -> Result<(), Crash> {
        if self.unfinished.is_empty() {
            return Ok(());
        }
        attempt.commit(&self.unfinished[..1]);
        steps.step()?;
        attempt.commit(&self.unfinished);
        steps.step()?;
        self.unfinished.clear();
        Ok(())
    }

    fn check(&self, subject: &Subject, has_ended: bool) {
        let visible = subject.visible();
        let mut distinct: Vec<Record> = visible.clone();
        distinct.dedup();
        if subject.guarantee() != Guarantee::AtLeastOnce {
            assert_eq!(
                visible.len(),
                distinct.len(),
                "records are there twice: {visible:?}"
            );
        }
        if subject.guarantee() == Guarantee::ExactlyOnce {
            let too_early = visible.iter().find(|record| record.key >= self.position);
            assert_eq!(too_early, None, "no checkpoint has this record");
        }
        if has_ended {
            let expected = records(0..self.end);
            assert!(distinct == expected, "not as written: {distinct:?}");
            subject.assert_nothing_left_behind();
        }
    }
}
