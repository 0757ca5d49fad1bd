//! How long a value lives, moment by moment.

use super::Subject;
use super::subject::{Keyed, Program, hash, max};
use snapline_core::{Clock, ManualClock, Timestamp};
use snapline_state::{StateDescriptor, StateTtl, ValueState};
use std::sync::Arc;
use std::time::Duration;

/// A state whose values live for 100 ms after they were written. A value may be `None`, which is a value too.
struct Mortal {
    clock: Arc<ManualClock>,
    program: Program,
    state: ValueState<u64, Option<u64>>,
}

impl Mortal {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let time: Arc<dyn Clock> = clock.clone();
        let ttl = StateTtl::new(Duration::from_millis(100));
        let mut program = Program::default();
        let descriptor = StateDescriptor::new("mortal").time_to_live(ttl, time);
        let state = ValueState::register(descriptor, &mut program.tables, max());
        Self {
            clock,
            program,
            state,
        }
    }

    fn wait_until(&self, millis: i64) {
        let Timestamp(now) = self.clock.now();
        self.clock.advance(Duration::from_millis((millis - now) as u64));
    }

    fn write(&self, state: &mut Keyed, key: u64, value: Option<u64>) {
        self.state.update(&mut **state, hash(&key), key, value).unwrap();
    }

    fn value(&self, state: &mut Keyed, key: u64) -> Option<Option<u64>> {
        self.state.value(&mut **state, hash(&key), &key).unwrap()
    }
}

/// What happens at a moment.
enum Step {
    Write(u64),
    Read(Option<u64>),
}

pub(super) fn a_value_lives_its_time_after_each_write_and_leaves_nothing(subject: &Subject) {
    let mortal = Mortal::new();
    let mut state = subject.open(&mortal.program, &[]);
    let steps = [
        (0, Step::Write(1)),
        (20, Step::Read(Some(1))),
        (50, Step::Write(2)),
        (120, Step::Read(Some(2))),
        (170, Step::Write(3)),
        (220, Step::Read(Some(3))),
        (300, Step::Read(None)),
    ];
    for (at, step) in steps {
        mortal.wait_until(at);
        match step {
            Step::Write(value) => mortal.write(&mut state, 1, Some(value)),
            Step::Read(expected) => {
                let expected = expected.map(Some);
                assert_eq!(mortal.value(&mut state, 1), expected, "at {at} ms");
            }
        }
    }
    assert!(mortal.state.keys(&mut *state).unwrap().is_empty());
}

/// The clock goes on while nothing runs.
pub(super) fn a_restored_value_has_the_time_left_that_it_had(subject: &Subject) {
    let mortal = Mortal::new();
    let mut state = subject.open(&mortal.program, &[]);
    mortal.write(&mut state, 1, Some(1));
    mortal.wait_until(50);
    mortal.write(&mut state, 1, Some(2));
    mortal.wait_until(100);
    mortal.write(&mut state, 2, None);
    let handles = subject.snapshot(&mut state);
    mortal.wait_until(140);
    let mut restored = subject.open(&mortal.program, &handles);
    for state in [&mut state, &mut restored] {
        assert_eq!(mortal.value(state, 1), Some(Some(2)));
        assert_eq!(mortal.value(state, 2), Some(None));
    }
    mortal.wait_until(180);
    for state in [
        &mut state,
        &mut restored,
        &mut subject.open(&mortal.program, &handles),
    ] {
        assert_eq!(mortal.value(state, 1), None);
        assert_eq!(mortal.value(state, 2), Some(None), "it was written later");
    }
}
