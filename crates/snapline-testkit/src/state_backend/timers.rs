//! Timers, which are state.

use super::Subject;
use super::subject::{Keyed, Program, freeze, hash, max};
use snapline_core::{CheckpointId, KeyGroupRange, SubtaskIndex, Timestamp};
use snapline_state::{StateHandle, TimerState};
use std::collections::BTreeSet;

type Timers = TimerState<String, String>;
/// A timer in plain words: its time, its key, its namespace.
type Plain = (i64, String, String);

fn program() -> (Program, Timers) {
    let mut program = Program::default();
    let timers = TimerState::register("timers", &mut program.tables, max());
    (program, timers)
}

/// A program with timers and its state, both as restored.
struct Restored {
    timers: Timers,
    state: Keyed,
}

impl Restored {
    fn new(subject: &Subject, handles: &[StateHandle]) -> Self {
        Self::with(subject, max().full_range(), handles, None)
    }

    fn with(
        subject: &Subject,
        own: KeyGroupRange,
        handles: &[StateHandle],
        base: Option<CheckpointId>,
    ) -> Self {
        let (program, mut timers) = program();
        let mut state = subject.open_with(&program, own, handles, base).unwrap();
        timers.restore(&mut *state).unwrap();
        Self { timers, state }
    }

    fn add(&mut self, (time, key, namespace): &Plain) -> bool {
        let (state, timers) = (&mut *self.state, &mut self.timers);
        let time = Timestamp(*time);
        timers
            .add(state, hash(key), key, namespace.clone(), time)
            .unwrap()
    }

    fn delete(&mut self, (time, key, namespace): &Plain) -> bool {
        let (state, timers) = (&mut *self.state, &mut self.timers);
        let time = Timestamp(*time);
        timers.delete(state, hash(key), key, namespace, time).unwrap()
    }

    fn take(&mut self, until: i64) -> Option<Plain> {
        let taken = self
            .timers
            .take_due(&mut *self.state, Timestamp(until))
            .unwrap()?;
        assert_eq!(taken.hash, hash(&taken.key));
        Some((taken.time.0, taken.key, taken.namespace))
    }

    /// All that are due, in order of time, each once.
    fn take_all(&mut self, until: i64) -> BTreeSet<Plain> {
        let mut all = BTreeSet::new();
        let mut before = i64::MIN;
        while let Some(timer) = self.take(until) {
            assert!(before <= timer.0, "{timer:?} comes after one of {before}");
            before = timer.0;
            assert!(all.insert(timer.clone()), "{timer:?} came twice");
        }
        all
    }
}

fn timer(time: i64, key: &str, namespace: &str) -> Plain {
    (time, key.to_owned(), namespace.to_owned())
}

/// In a state that goes on and in one that is restored from its snapshot.
pub(super) fn a_timer_comes_once_when_its_time_has_come_unless_it_was_deleted(subject: &Subject) {
    let mut running = Restored::new(subject, &[]);
    let mut expected = BTreeSet::new();
    for (key, namespace) in [("1", "ciao"), ("1", "hello"), ("11", "ciao"), ("11", "hello")] {
        let timer = timer(10, key, namespace);
        assert!(running.add(&timer));
        assert!(!running.add(&timer), "{timer:?} is there already");
        expected.insert(timer);
    }
    assert!(running.add(&timer(5, "1", "ciao")) && running.add(&timer(20, "11", "")));
    assert!(running.delete(&timer(5, "1", "ciao")) && !running.delete(&timer(5, "1", "ciao")));
    assert!(!running.delete(&timer(10, "1", "")) && !running.delete(&timer(10, "2", "ciao")));
    let handles = subject.snapshot(&mut running.state);
    for mut each in [Restored::new(subject, &handles), running] {
        let key = "1".to_owned();
        let of_key = each.timers.of_key(&mut *each.state, hash(&key), &key).unwrap();
        let ten = |namespace: &str| (Timestamp(10), namespace.to_owned());
        assert_eq!(of_key, [ten("ciao"), ten("hello")]);
        assert_eq!(each.timers.next_time(), Some(Timestamp(10)));
        assert_eq!(each.take(9), None);
        assert_eq!(each.take_all(10), expected);
        assert_eq!(each.take_all(19), BTreeSet::new());
        assert!(each.add(&timer(10, "1", "ciao")), "it has come out");
        assert_eq!(each.take_all(30).len(), 2);
        let handles = subject.snapshot(&mut each.state);
        assert_eq!(Restored::new(subject, &handles).take(i64::MAX), None);
        assert_eq!(each.timers.next_time(), None);
    }
}

/// Steps that look random, on timers and on an ordered set; each run begins with the snapshot of the run before.
pub(super) fn timers_are_an_ordered_set_through_all_snapshots(subject: &Subject) {
    let mut expected: BTreeSet<Plain> = BTreeSet::new();
    let mut handles = Vec::new();
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for run in 0..6_u64 {
        let base = (run > 0).then_some(CheckpointId(run));
        let mut running = Restored::with(subject, max().full_range(), &handles, base);
        for _ in 0..400 {
            let (time, key) = (random(50) as i64 - 10, random(20).to_string());
            let timer = timer(time, &key, ["", "a", "b"][random(3) as usize]);
            match random(5) {
                0 => assert_eq!(running.delete(&timer), expected.remove(&timer)),
                1 => {
                    let due = running.take(time);
                    let first = expected.first().map(|(time, ..)| *time);
                    assert_eq!(
                        due.as_ref().map(|due| due.0),
                        first.filter(|first| *first <= time)
                    );
                    assert!(due.is_none_or(|due| expected.remove(&due)));
                }
                _ => assert_eq!(running.add(&timer), expected.insert(timer)),
            }
            let next = running.timers.next_time().map(|time| time.0);
            assert_eq!(next, expected.first().map(|(time, ..)| *time));
        }
        handles = subject.snapshot_on(&mut running.state, CheckpointId(run + 1), base);
    }
    assert!(expected.len() > 50);
    assert_eq!(Restored::new(subject, &handles).take_all(i64::MAX), expected);
}

/// Each run adds timers for all keys and takes those that are due, at another parallelism, given all handles of
/// the run before.
pub(super) fn each_timer_is_in_one_subtask_at_any_parallelism(subject: &Subject) {
    let mut handles = Vec::new();
    let mut expected = BTreeSet::new();
    for (run, parallelism) in (0_i64..).zip([1, 2, 3, 1]) {
        let new = (0..300).map(|key| timer(run + key % 3, &key.to_string(), &run.to_string()));
        let new: Vec<Plain> = new.collect();
        expected.extend(new.iter().cloned());
        let (mut taken, mut next) = (BTreeSet::new(), Vec::new());
        for subtask in (0..parallelism).map(SubtaskIndex) {
            let own = max().range_of(subtask, parallelism);
            let mut running = Restored::with(subject, own, &handles, None);
            for timer in new
                .iter()
                .filter(|timer| own.contains(max().key_group(hash(&timer.1))))
            {
                running.add(timer);
            }
            for timer in running.take_all(run) {
                assert!(own.contains(max().key_group(hash(&timer.1))));
                assert!(taken.insert(timer), "a timer came in two subtasks");
            }
            next.extend(subject.snapshot(&mut running.state));
        }
        let later = expected.split_off(&timer(run + 1, "", ""));
        assert_eq!(taken, expected, "parallelism {parallelism}");
        (expected, handles) = (later, next);
    }
    assert_eq!(Restored::new(subject, &handles).take_all(i64::MAX), expected);
}

/// Timers come out and others are added while the snapshot is persisted.
pub(super) fn a_snapshot_has_the_timers_of_its_moment(subject: &Subject) {
    let mut running = Restored::new(subject, &[]);
    let mut expected = BTreeSet::new();
    for number in 0..2_000 {
        let timer = timer(number % 100, &(number / 2).to_string(), &number.to_string());
        running.add(&timer);
        expected.insert(timer);
    }
    let snapshot = freeze(&mut running.state);
    let timers = &mut running.timers;
    let handles = subject.persist_while(&mut running.state, snapshot, |state, step| {
        for _ in 0..20 {
            timers.take_due(&mut **state, Timestamp(step as i64)).unwrap();
        }
        let key = step.to_string();
        let namespace = String::new();
        timers
            .add(&mut **state, hash(&key), &key, namespace, Timestamp(-5))
            .unwrap();
    });
    assert_eq!(Restored::new(subject, &handles).take_all(i64::MAX), expected);
}
