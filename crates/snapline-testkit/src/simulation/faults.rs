//! Which faults there may be, and how many.

use std::fmt;

/// How many faults of each kind one run may meet at the most. How many there are, and when, depends on
/// the seed. They cease after that, so that the job has to end.
///
/// ```
/// use snapline_testkit::simulation::Faults;
///
/// let only_crashes = Faults::none().crashes(3);
/// assert_eq!(only_crashes.to_string(), "crashes");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    pub(crate) crashes: u32,
    pub(crate) panics: u32,
    pub(crate) storage: u32,
    pub(crate) outside: u32,
    pub(crate) interventions: u32,
    pub(crate) delays: u32,
}

impl Faults {
    /// Nothing goes wrong: one task after the other, each message at once.
    pub const fn none() -> Self {
        Self {
            crashes: 0,
            panics: 0,
            storage: 0,
            outside: 0,
            interventions: 0,
            delays: 0,
        }
    }

    /// How often the whole process is killed, at any step. What it was asking of the storage may then
    /// happen, or not, or later.
    #[must_use]
    pub const fn crashes(self, crashes: u32) -> Self {
        Self { crashes, ..self }
    }

    /// How often a step of a task panics, as user code may.
    #[must_use]
    pub const fn panics(self, panics: u32) -> Self {
        Self { panics, ..self }
    }

    /// How many calls of the checkpoint storage fail, or succeed and say that they failed where the
    /// contract allows that, or take long.
    #[must_use]
    pub const fn storage(self, storage: u32) -> Self {
        Self { storage, ..self }
    }

    /// How many calls of a [`super::WorldSink`] fail, or succeed and say that they failed, or take long.
    #[must_use]
    pub const fn outside(self, outside: u32) -> Self {
        Self { outside, ..self }
    }

    /// How often somebody takes a savepoint, or stops the job with one or without and starts it again.
    #[must_use]
    pub const fn interventions(self, interventions: u32) -> Self {
        Self {
            interventions,
            ..self
        }
    }

    /// How often tasks and deliveries are held up.
    #[must_use]
    pub const fn delays(self, delays: u32) -> Self {
        Self { delays, ..self }
    }

    /// These with one kind left out, for each kind that there is.
    pub(crate) fn with_one_kind_less(self) -> impl Iterator<Item = Self> {
        let less = [
            self.delays(0),
            self.storage(0),
            self.outside(0),
            self.interventions(0),
            self.panics(0),
            self.crashes(0),
            self.crashes(self.crashes.min(1)),
            self.panics(self.panics.min(1)),
            self.interventions(self.interventions.min(1)),
        ];
        less.into_iter().filter(move |less| *less != self)
    }
}

impl Default for Faults {
    /// A few of each kind.
    fn default() -> Self {
        Self {
            crashes: 3,
            panics: 3,
            storage: 12,
            outside: 8,
            interventions: 2,
            delays: 400,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.crashes, "crashes"),
            (self.panics, "panics"),
            (self.storage, "storage faults"),
            (self.outside, "faults of the outside world"),
            (self.interventions, "interventions"),
            (self.delays, "delays"),
        ];
        let there: Vec<&str> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, kind)| *kind)
            .collect();
        f.write_str(if there.is_empty() { "none" } else { "" })?;
        f.write_str(&there.join(", "))
    }
}
