//! A run that breaks a promise, told step by step.

use crate::job::Job;
use crate::promise::{Outcome, Violation};
use crate::world::World;
use std::fmt;
use std::rc::Rc;

/// Which of the possible steps was taken, from the beginning, and what is wrong after that.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) choices: Vec<u8>,
    pub(crate) violation: Violation,
}

#[derive(Debug)]
pub(crate) struct Counterexample {
    pub(crate) violation: Violation,
    pub(crate) trace: Vec<String>,
}

impl Counterexample {
    /// Takes the same steps again and writes down what happens.
    pub(crate) fn new(job: &Rc<Job>, run: Run) -> Self {
        let Run { choices, violation } = run;
        let mut world = World::new(job.clone());
        world.log = Some(Vec::new());
        let outcome: Outcome = choices.into_iter().try_for_each(|choice| {
            let step = world.possible()[usize::from(choice)];
            world.take(step)
        });
        let mut trace = world.log.unwrap_or_default();
        if outcome.is_ok() {
            trace.push("nothing else happens".to_owned());
        }
        Self { violation, trace }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "  => {}", self.violation)
    }
}
