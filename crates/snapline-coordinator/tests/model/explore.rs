//! Goes through every state that can be reached.

use crate::counterexample::{Counterexample, Run};
use crate::job::Job;
use crate::promise::{Promise, Violation};
use crate::world::{Step, World};
use snapline_core::{Clock, SystemClock};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// How far an exploration went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// States after which nothing has to come.
    pub(crate) ends: usize,
    /// States in which a crash leaves something else than in all others.
    pub(crate) restarts: usize,
    pub(crate) millis: u128,
}

/// Explores a job completely, depth first: so the states that are kept are few, and a run that could
/// go on for ever is seen as one that comes back to itself.
pub(crate) fn explore(job: &Rc<Job>) -> Result<Figures, Counterexample> {
    let clock = SystemClock::new();
    let mut search = Search::default();
    match search.depth_first(State::first(job)) {
        Ok(()) => Ok(Figures {
            millis: clock.monotonic().as_millis(),
            restarts: search.restarts.len(),
            ..search.figures
        }),
        Err(found) => Err(Counterexample::new(job, shortest(job).unwrap_or(found))),
    }
}

/// The shortest run that breaks a promise. One that never ends is not among them.
fn shortest(job: &Rc<Job>) -> Option<Run> {
    let mut search = Search::default();
    let mut layer = VecDeque::from([State::first(job)]);
    while let Some(state) = layer.pop_front() {
        match search.expand(state) {
            Ok(after) => layer.extend(after),
            Err(found) => return Some(found),
        }
    }
    None
}

/// A state that was reached, and how.
struct State {
    world: World,
    print: u128,
    origin: Option<Origin>,
}

/// The state before, by the order in which states were found, and which of its steps was taken.
#[derive(Debug, Clone, Copy)]
struct Origin {
    before: u32,
    choice: u8,
}

#[derive(Default)]
struct Search {
    figures: Figures,
    found: HashSet<u128, BuildHasherDefault<Identity>>,
    origins: Vec<Option<Origin>>,
    restarts: HashSet<(u64, u128)>,
    /// The states that led to the one that is looked at.
    path: Vec<u128>,
}

impl State {
    fn first(job: &Rc<Job>) -> Self {
        Self::new(World::new(job.clone()), None)
    }

    fn new(world: World, origin: Option<Origin>) -> Self {
        let print = world.print();
        Self { world, print, origin }
    }
}

impl Search {
    fn depth_first(&mut self, first: State) -> Result<(), Run> {
        let mut levels = vec![vec![first]];
        while let Some(level) = levels.last_mut() {
            if let Some(state) = level.pop() {
                self.path.push(state.print);
                levels.push(self.expand(state)?);
            } else {
                levels.pop();
                self.path.pop();
            }
        }
        Ok(())
    }

    /// What can come after a state, unless it was looked at before.
    fn expand(&mut self, state: State) -> Result<Vec<State>, Run> {
        let State { world, print, origin } = state;
        let mut after = Vec::new();
        if !self.found.insert(print) {
            return Ok(after);
        }
        let before = u32::try_from(self.origins.len()).unwrap();
        self.origins.push(origin);
        self.figures.states += 1;
        let steps = world.possible();
        if !steps.iter().any(|step| step.must_come()) {
            self.figures.ends += 1;
            world
                .check_end()
                .map_err(|violation| self.run(before, None, violation))?;
        }
        for (choice, step) in (0..).zip(steps) {
            self.figures.transitions += 1;
            if step == Step::Crash && !self.restarts.insert(world.crash_print()) {
                continue;
            }
            let mut next = world.clone();
            next.take(step)
                .map_err(|violation| self.run(before, Some(choice), violation))?;
            let next = State::new(next, Some(Origin { before, choice }));
            if !self.found.contains(&next.print) {
                after.push(next);
            } else if self.path.contains(&next.print) {
                let violation = Promise::NoLivelock.broken("this can go on for ever");
                return Err(self.run(before, Some(choice), violation));
            }
        }
        Ok(after)
    }

    /// The choices that lead to a violation.
    fn run(&self, at: u32, last: Option<u8>, violation: Violation) -> Run {
        let mut choices: Vec<u8> = last.into_iter().collect();
        let mut at = at;
        while let Some(Origin { before, choice }) = self.origins[at as usize] {
            choices.push(choice);
            at = before;
        }
        choices.reverse();
        Run { choices, violation }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            transitions,
            ends,
            restarts,
            millis,
        } = self;
        write!(
            f,
            "{states} states, {transitions} transitions, {ends} ends, {restarts} restarts, {millis} ms"
        )
    }
}

/// Fingerprints are mixed already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
