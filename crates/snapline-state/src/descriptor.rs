//! What a program says about a state when it registers it.

use crate::conversion::{Evolution, Migrate};
use crate::ttl::{EventClock, StateTtl, Ttl, TtlClock};
use snapline_core::{Clock, Data, Result, encode_into};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The name of a state, the version of its schema, and how long its values live; `V` is the type of
/// the stored values.
///
/// A name is a descriptor of version 1, so `"counts"` can stand wherever a descriptor is wanted.
///
/// When the type of the values changes, so does the version, and the descriptor says how an older
/// value becomes a new one:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use snapline_core::{Error, decode};
/// use snapline_state::StateDescriptor;
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Visits {
///     count: u64,
///     /// New in version 2.
///     last: Option<String>,
/// }
///
/// let visits = StateDescriptor::<Visits>::new("visits").version(2).migrate(|version, stored| match version {
///     1 => Ok(Visits { count: decode(stored)?, last: None }),
///     other => Err(Error::invalid("there is no such version of visits").with("version", other)),
/// });
/// assert_eq!(visits.schema_version(), 2);
/// ```
pub struct StateDescriptor<V> {
    name: String,
    version: u32,
    evolution: Evolution,
    values: PhantomData<fn() -> V>,
}

impl<V> StateDescriptor<V> {
    /// The state of this name, version 1.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: 1,
            evolution: Evolution::default(),
            values: PhantomData,
        }
    }

    /// The version of the schema, from 1 on.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// How long values live, or items of lists and entries of maps, in the time of this clock.
    ///
    /// In a dataflow the clock is that of the [`RuntimeContext`], so that simulations hold.
    ///
    /// [`RuntimeContext`]: https://docs.rs/snapline-dataflow
    #[must_use]
    pub fn time_to_live(mut self, ttl: StateTtl, clock: Arc<dyn Clock>) -> Self {
        self.evolution.ttl = Some(Ttl::new(ttl, TtlClock::ProcessingTime(clock)));
        self
    }

    /// The same in event time, of which this clock is told.
    ///
    /// In a dataflow it is that of the [`RuntimeContext`].
    ///
    /// [`RuntimeContext`]: https://docs.rs/snapline-dataflow
    #[must_use]
    pub fn event_time_to_live(mut self, ttl: StateTtl, clock: Arc<EventClock>) -> Self {
        self.evolution.ttl = Some(Ttl::new(ttl, TtlClock::EventTime(clock)));
        self
    }

    /// The name by which the state is found again.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the schema.
    pub fn schema_version(&self) -> u32 {
        self.version
    }

    pub(crate) fn evolution(&self) -> &Evolution {
        &self.evolution
    }
}

impl<V: Data> StateDescriptor<V> {
    /// How the stored bytes of an older version become a value. Called at a restore, for each value; the
    /// bytes are postcard, as [`snapline_core::decode`] reads them. The keys stay as they are.
    ///
    /// The next snapshot has all values in the new version.
    #[must_use]
    pub fn migrate(mut self, migrate: impl Fn(u32, &[u8]) -> Result<V> + Send + Sync + 'static) -> Self {
        let encoded = move |version: u32, stored: &[u8]| {
            let mut bytes = Vec::new();
            encode_into(&migrate(version, stored)?, &mut bytes)?;
            Ok(bytes)
        };
        let migrate: Migrate = Arc::new(encoded);
        self.evolution.migrate = Some(migrate);
        self
    }
}

impl<V> From<&str> for StateDescriptor<V> {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl<V> From<String> for StateDescriptor<V> {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<V> Clone for StateDescriptor<V> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            version: self.version,
            evolution: self.evolution.clone(),
            values: PhantomData,
        }
    }
}

impl<V> fmt::Debug for StateDescriptor<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDescriptor")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("evolution", &self.evolution)
            .finish()
    }
}
