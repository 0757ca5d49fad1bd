//! What is outside of the process and outlives it.

mod output;
mod sink;
mod source;

pub use output::Output;
pub use sink::{Transaction, WorldSink};
pub use source::{WorldSource, WorldSplit};

use super::dice::Dice;
use super::fate::{Fate, Trouble};
use super::storage::SimStorage;
use super::time::Time;
use super::trace::Trace;
use snapline_core::Data;
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The outside world of one simulated run: it survives when the process is killed.
///
/// A job reads from its [`World::source`] and writes to its [`World::sink`], or to sources and sinks of
/// the user's own, which keep what is outside of the process with [`World::keep`] and tell what
/// everybody can see to [`World::output`].
///
/// A clone is the same world.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) shared: Arc<Outside>,
}

#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) seed: u64,
    pub(crate) time: Arc<Time>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) storage: SimStorage,
    pub(crate) dice: Dice,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Everything that everybody can see, encoded.
    visible: Vec<Vec<u8>>,
    /// The types of what is, or will be, visible.
    types: BTreeSet<&'static str>,
    transactions: sink::Transactions,
    kept: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// The first thing that must never happen and did.
    violation: Option<String>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        time: Arc<Time>,
        fate: Arc<Fate>,
        trace: Arc<Trace>,
        storage: SimStorage,
    ) -> Self {
        let outside = Outside {
            seed,
            time,
            fate,
            trace,
            storage,
            dice: Dice::new(seed, "world"),
            state: Mutex::default(),
        };
        Self {
            shared: Arc::new(outside),
        }
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// A source of these records, in a few splits. When a reader gets how many of them depends on the
    /// seed.
    pub fn source<T: Data + Sync>(&self, records: impl IntoIterator<Item = T>) -> WorldSource<T> {
        WorldSource::new(self.clone(), records.into_iter().collect())
    }

    /// A sink that commits in two phases. Pre-committed records survive the process; committed ones
    /// are the [`World::output`].
    pub fn sink<T: Data>(&self) -> WorldSink<T> {
        self.expect_type::<T>();
        WorldSink::new(self.clone())
    }

    /// What everybody can see, for sinks of the user's own.
    pub fn output<T: Data>(&self) -> Output<T> {
        self.expect_type::<T>();
        Output::new(self.clone())
    }

    /// A value outside of the process, one of each type: made when it is first asked for, and there
    /// again after the process was killed.
    pub fn keep<V: Default + Send + Sync + 'static>(&self) -> Arc<V> {
        let mut state = self.shared.state();
        let kept = state
            .kept
            .entry(TypeId::of::<V>())
            .or_insert_with(|| Arc::new(V::default()));
        kept.clone().downcast().unwrap_or_default()
    }

    fn expect_type<T>(&self) {
        self.shared.state().types.insert(std::any::type_name::<T>());
    }

    pub(crate) fn types(&self) -> BTreeSet<&'static str> {
        self.shared.state().types.clone()
    }

    pub(crate) fn visible(&self) -> Vec<Vec<u8>> {
        self.shared.state().visible.clone()
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.shared.state().violation.clone()
    }
}

impl Outside {
    /// Notes that something happened that must never happen.
    fn violated(&self, what: String) {
        self.trace.note("world", || format!("VIOLATION: {what}"));
        self.state().violation.get_or_insert(what);
    }

    /// Waits as long as a call takes.
    async fn wait(&self, trouble: Option<Trouble>) {
        let micros = match trouble {
            Some(Trouble::Dawdles) => self.dice.between(5_000..=100_000),
            _ => self.dice.between(10..=500),
        };
        self.time.sleep_micros(micros).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
