//! Which calls fail.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A call of [`snapline_state::CheckpointStorage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums, reason = "the trait has these five")]
pub enum Operation {
    /// `create`.
    Create,
    /// `put`.
    Put,
    /// `get`.
    Get,
    /// `list`.
    List,
    /// `delete`.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        })
    }
}

/// Says which calls of a storage fail, the first call being number 0.
///
/// A clone counts on its own, from 0.
///
/// ```
/// use snapline_testkit::fault::{Operation, Schedule};
///
/// let schedule = Schedule::calls([1]).only([Operation::Put]);
/// let calls = [Operation::Put, Operation::Get, Operation::Put, Operation::Put];
/// assert_eq!(calls.map(|call| schedule.strikes(call)), [false, false, true, false]);
/// ```
#[derive(Clone)]
pub struct Schedule {
    strikes: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    only: Option<BTreeSet<Operation>>,
    calls: Counter,
}

impl Schedule {
    /// No call fails.
    pub fn never() -> Self {
        Self::new(|_| false)
    }

    /// The calls with these numbers fail.
    pub fn calls(numbers: impl IntoIterator<Item = u64>) -> Self {
        let numbers: BTreeSet<u64> = numbers.into_iter().collect();
        Self::new(move |number| numbers.contains(&number))
    }

    /// Every `n`th call fails, the first one to fail being number `n - 1`.
    pub fn every(n: u64) -> Self {
        Self::new(move |number| n > 0 && number % n == n - 1)
    }

    /// This call and all later ones fail, as after a crash.
    pub fn from(first: u64) -> Self {
        Self::new(move |number| number >= first)
    }

    /// One in `n` calls fails; which ones depends on the seed only.
    pub fn seeded(seed: u64, n: u64) -> Self {
        Self::new(move |number| n > 0 && splitmix64(seed ^ splitmix64(number)).is_multiple_of(n))
    }

    fn new(strikes: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self {
            strikes: Arc::new(strikes),
            only: None,
            calls: Counter::default(),
        }
    }

    /// Counts, and so strikes, only calls of these operations.
    #[must_use]
    pub fn only(self, operations: impl IntoIterator<Item = Operation>) -> Self {
        Self {
            only: Some(operations.into_iter().collect()),
            ..self
        }
    }

    /// Counts a call and says whether it is to fail.
    pub fn strikes(&self, operation: Operation) -> bool {
        let counted = self.only.as_ref().is_none_or(|only| only.contains(&operation));
        counted && (self.strikes)(self.calls.0.fetch_add(1, Ordering::SeqCst))
    }

    /// How many calls were counted.
    pub fn counted(&self) -> u64 {
        self.calls.0.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("only", &self.only)
            .field("counted", &self.counted())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Clone for Counter {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub(crate) fn splitmix64(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
