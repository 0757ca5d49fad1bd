//! When which fault strikes.

use super::dice::Dice;
use super::faults::Faults;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A crash comes within about this many steps of the executor, or of these moments of checkpoints.
const STEPS_TO_CRASH: u64 = 4_000;
const MOMENTS_TO_CRASH: u64 = 120;

/// Decides for one run what goes wrong and when.
#[derive(Debug)]
pub(crate) struct Fate {
    dice: Dice,
    storage_dice: Dice,
    outside_dice: Dice,
    delay_dice: Dice,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: Faults,
    met: Met,
    crash: Option<Countdown>,
    panic: Option<Countdown>,
    /// One in so many calls fails.
    storage_rarity: u64,
    outside_rarity: u64,
    delay_rarity: u64,
    /// How many of the next calls of the storage fail, whatever they are: an outage.
    outage: u64,
    crash_is_due: bool,
}

/// Something that happens after so many steps, or after so many moments that matter to a checkpoint.
#[derive(Debug, Clone, Copy)]
enum Countdown {
    Steps(u64),
    Moments(u64),
}

/// How many faults there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) crashes: u64,
    pub(crate) panics: u64,
    pub(crate) storage: u64,
    pub(crate) outside: u64,
    pub(crate) interventions: u64,
}

/// What goes wrong with a call to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails and has done nothing.
    Fails,
    /// It does its work and says that it failed.
    Lies,
    /// It takes long.
    Dawdles,
}

/// What becomes of a call whose caller has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphan {
    Never,
    Now,
    /// After so many microseconds.
    Later(u64),
}

impl Fate {
    /// The seed decides how many of the faults there are, and how near to each other.
    pub(crate) fn new(seed: u64, most: Faults) -> Self {
        let dice = Dice::new(seed, "fate");
        let up_to = |most: u32| dice.below(u64::from(most) + 1) as u32;
        let left = Faults {
            crashes: up_to(most.crashes),
            panics: up_to(most.panics),
            storage: up_to(most.storage),
            outside: up_to(most.outside),
            interventions: up_to(most.interventions),
            delays: up_to(most.delays),
        };
        let rarity = |choices: &[u64]| dice.one_of(choices).copied().unwrap_or(1);
        let state = State {
            left,
            met: Met::default(),
            crash: None,
            panic: None,
            storage_rarity: rarity(&[4, 10, 30, 80]),
            outside_rarity: rarity(&[2, 4, 10]),
            delay_rarity: rarity(&[2, 5, 20, 100]),
            outage: 0,
            crash_is_due: false,
        };
        Self {
            dice,
            storage_dice: Dice::new(seed, "storage"),
            outside_dice: Dice::new(seed, "outside"),
            delay_dice: Dice::new(seed, "delay"),
            state: Mutex::new(state),
        }
    }

    /// A process begins: decides whether and when it will be killed.
    pub(crate) fn on_process_start(&self) {
        let crash = self.countdown(STEPS_TO_CRASH, MOMENTS_TO_CRASH);
        let panic = self.countdown(STEPS_TO_CRASH / 8, MOMENTS_TO_CRASH);
        let mut state = self.lock();
        state.crash = (state.left.crashes > 0).then_some(crash);
        state.panic = (state.left.panics > 0).then_some(panic);
        state.crash_is_due = false;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn relent(&self) {
        let mut state = self.lock();
        state.left = Faults::none();
        state.outage = 0;
        state.crash_is_due = false;
        state.crash = None;
        state.panic = None;
    }

    pub(crate) fn met(&self) -> Met {
        self.lock().met
    }

    /// Counts a step of the process and says whether it is killed before it.
    pub(crate) fn is_crash_due(&self) -> bool {
        let mut state = self.lock();
        let struck = strikes(&mut state.crash, Counted::Step) || state.crash_is_due;
        if struck {
            state.crash = None;
            state.crash_is_due = false;
            state.left.crashes -= 1;
            state.met.crashes += 1;
        }
        struck
    }

    /// Counts a moment that matters to a checkpoint; the process may be killed right after it.
    pub(crate) fn on_moment(&self) {
        let mut state = self.lock();
        if strikes(&mut state.crash, Counted::Moment) {
            state.crash_is_due = true;
        }
    }

    /// Counts a step of a task and says whether it panics.
    pub(crate) fn panics(&self, is_moment: bool) -> bool {
        let counted = if is_moment { Counted::Moment } else { Counted::Step };
        let mut state = self.lock();
        if !strikes(&mut state.panic, counted) {
            return false;
        }
        state.left.panics -= 1;
        state.met.panics += 1;
        let more = state.left.panics > 0;
        drop(state);
        let next = self.countdown(STEPS_TO_CRASH / 8, MOMENTS_TO_CRASH);
        self.lock().panic = more.then_some(next);
        true
    }

    /// Whether somebody will do something to the job.
    pub(crate) fn intervenes(&self) -> bool {
        let mut state = self.lock();
        let intervenes = state.left.interventions > 0;
        state.left.interventions -= u32::from(intervenes);
        state.met.interventions += u64::from(intervenes);
        intervenes
    }

    pub(crate) fn delays_a_step(&self) -> bool {
        let mut state = self.lock();
        let struck = state.left.delays > 0 && self.delay_dice.one_in(state.delay_rarity);
        state.left.delays -= u32::from(struck);
        struck
    }

    /// What goes wrong with a call of the storage; `may_lie` says whether the contract lets it.
    pub(crate) fn storage(&self, may_lie: bool) -> Option<Trouble> {
        let mut state = self.lock();
        if state.left.storage == 0 {
            return None;
        }
        if state.outage == 0 && !self.storage_dice.one_in(state.storage_rarity) {
            return None;
        }
        let dice = &self.storage_dice;
        let trouble = match (dice.below(5), may_lie) {
            _ if state.outage > 0 => Trouble::Fails,
            (0, _) => Trouble::Dawdles,
            (1 | 2, true) => Trouble::Lies,
            _ => Trouble::Fails,
        };
        state.outage = match state.outage {
            0 if dice.one_in(6) => dice.between(1..=8),
            outage => outage.saturating_sub(1),
        };
        state.left.storage -= 1;
        state.met.storage += 1;
        Some(trouble)
    }

    /// What goes wrong with a call of a sink of the world.
    pub(crate) fn outside(&self) -> Option<Trouble> {
        let mut state = self.lock();
        if state.left.outside == 0 || !self.outside_dice.one_in(state.outside_rarity) {
            return None;
        }
        state.left.outside -= 1;
        state.met.outside += 1;
        let choices = [Trouble::Fails, Trouble::Lies, Trouble::Dawdles];
        self.outside_dice.one_of(&choices).copied()
    }

    /// How long a call of the storage takes, in microseconds.
    pub(crate) fn latency(&self, trouble: Option<Trouble>) -> u64 {
        match trouble {
            Some(Trouble::Dawdles) => self.storage_dice.between(5_000..=400_000),
            _ => self.storage_dice.between(10..=400),
        }
    }

    /// What becomes of a call whose caller has died before the answer.
    pub(crate) fn orphan(&self) -> Orphan {
        match self.storage_dice.below(4) {
            0 => Orphan::Now,
            1 => Orphan::Later(self.storage_dice.scale(50_000)),
            _ => Orphan::Never,
        }
    }

    fn countdown(&self, steps: u64, moments: u64) -> Countdown {
        if self.dice.one_in(3) {
            Countdown::Steps(self.dice.scale(steps))
        } else {
            Countdown::Moments(self.dice.between(1..=moments))
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Step,
    Moment,
}

/// Counts down, and is true once, at the end.
fn strikes(countdown: &mut Option<Countdown>, counted: Counted) -> bool {
    let left = match (countdown.as_mut(), counted) {
        (Some(Countdown::Steps(left)), Counted::Step) => left,
        (Some(Countdown::Moments(left)), Counted::Moment) => left,
        _ => return false,
    };
    *left = left.saturating_sub(1);
    let struck = *left == 0;
    if struck {
        *countdown = None;
    }
    struck
}
