//! Cases of `create`.

use super::content::bytes;
use super::{Outcome, Subject};
use snapline_state::Created;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) fn a_created_object_can_be_read(subject: Subject) -> Outcome {
    assert_eq!(subject.create("job/epoch/1.json", "one"), Created::New);
    assert_eq!(subject.get("job/epoch/1.json").as_deref(), Some(&b"one"[..]));
    Outcome::Held
}

pub(super) fn create_of_a_taken_key_answers_with_the_bytes_that_are_there(subject: Subject) -> Outcome {
    assert_eq!(subject.create("created", "first"), Created::New);
    let _ = subject.put("put", "first");
    for name in ["created", "put"] {
        let taken = Created::AlreadyExists("first".into());
        assert_eq!(subject.create(name, "second"), taken);
        assert_eq!(subject.create(name, ""), taken, "not even without bytes");
        assert_eq!(subject.get(name).as_deref(), Some(&b"first"[..]));
    }
    Outcome::Held
}

pub(super) fn create_again_with_the_same_bytes_is_a_success(subject: Subject) -> Outcome {
    for content in [bytes(1, 4096), bytes(2, 0)] {
        let name = format!("object-{}", content.len());
        for _ in 0..3 {
            assert_eq!(subject.create(&name, content.clone()), Created::New);
        }
    }
    Outcome::Held
}

pub(super) fn exactly_one_of_sixteen_racing_creates_wins(subject: Subject) -> Outcome {
    let racers: Vec<_> = (0..16).map(|_| subject.clone()).collect();
    race(&racers);
    Outcome::Held
}

/// Lets all racers create the same keys at the same time, each with bytes of its own.
pub(super) fn race(racers: &[Subject]) {
    for round in 0..4 {
        let name = format!("race/{round}");
        let own = |racer: usize| bytes(racer as u8, 2000);
        let start = Barrier::new(racers.len());
        let run = &|number: usize| {
            start.wait();
            racers[number].create(&name, own(number))
        };
        let outcomes: Vec<Created> = thread::scope(|scope| {
            let numbers = 0..racers.len();
            let handles: Vec<_> = numbers.map(|number| scope.spawn(move || run(number))).collect();
            handles.into_iter().map(join).collect()
        });
        let winners: Vec<usize> = (0..racers.len())
            .filter(|racer| outcomes[*racer] == Created::New)
            .collect();
        assert_eq!(winners.len(), 1, "the winners of round {round} are {winners:?}");
        let stored = own(winners[0]);
        assert_eq!(racers[0].get(&name), Some(stored.clone()));
        for (racer, outcome) in outcomes.into_iter().enumerate() {
            let expected = Created::AlreadyExists(stored.clone());
            assert!(
                racer == winners[0] || outcome == expected,
                "a loser is told the winner's bytes"
            );
        }
    }
}

pub(super) fn a_reader_sees_nothing_or_all_of_a_created_object(subject: Subject) -> Outcome {
    let names: Vec<String> = (0..8).map(|number| format!("object-{number}")).collect();
    let whole = bytes(1, 300_000);
    while_reading(
        || {
            for name in &names {
                let seen = subject.get(name);
                assert!(seen.is_none_or(|seen| seen == whole), "part of {name} was seen");
            }
        },
        || {
            for name in &names {
                assert_eq!(subject.create(name, whole.clone()), Created::New);
            }
        },
    );
    Outcome::Held
}

/// Repeats `read` in another thread while `write` runs.
pub(super) fn while_reading(read: impl Fn() + Sync, write: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                read();
            }
            read();
        });
        write();
        done.store(true, Ordering::SeqCst);
        join(reader);
    });
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
