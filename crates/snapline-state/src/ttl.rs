//! Values that are forgotten after a while.

use serde::{Deserialize, Serialize};
use snapline_core::{Clock, Error, Result, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How long the value of a key lives.
///
/// A value that has expired is never returned. It is removed when its key is accessed, or when another
/// is: each access to a state in memory looks at some entries. A restore leaves it out. On a backend
/// of bytes only accessed keys are removed while the job runs.
///
/// The time is that of the whole value: of a list or map as a whole, which is written when one of its
/// items is.
///
/// A state may get a time to live, another, or none from one run of a program to the next. With one,
/// values that had none live as long from the restore on; values that had one keep the moment at which
/// they expire until they are written. Without one, those that have not been removed yet live for ever,
/// also if they had expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateTtl {
    duration: Duration,
    refresh: TtlRefresh,
    time: TtlTime,
}

impl StateTtl {
    /// This long since the last write, in processing time and whole milliseconds.
    pub const fn new(duration: Duration) -> Self {
        Self {
            duration,
            refresh: TtlRefresh::OnWrite,
            time: TtlTime::ProcessingTime,
        }
    }

    /// What begins the time anew.
    #[must_use]
    pub const fn refresh(self, refresh: TtlRefresh) -> Self {
        Self { refresh, ..self }
    }

    /// Which time counts.
    #[must_use]
    pub const fn time(self, time: TtlTime) -> Self {
        Self { time, ..self }
    }
}

/// What begins the time to live of a value anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TtlRefresh {
    /// That it is written.
    #[default]
    OnWrite,
    /// That it is written or read. Every read is a write then, for the backend too.
    OnReadAndWrite,
}

/// The time in which values expire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TtlTime {
    /// The time of the clock.
    #[default]
    ProcessingTime,
}

/// A time to live with its clock.
#[derive(Debug, Clone)]
pub(crate) struct Ttl {
    settings: StateTtl,
    clock: Arc<dyn Clock>,
}

impl Ttl {
    pub(crate) fn new(settings: StateTtl, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self.settings.time {
            TtlTime::ProcessingTime => self.clock.now(),
        }
    }

    /// When a value expires that is written now.
    pub(crate) fn expiry(&self, now: Timestamp) -> Timestamp {
        let millis = i64::try_from(self.settings.duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(now.0.saturating_add(millis))
    }

    pub(crate) fn counts_reads(&self) -> bool {
        self.settings.refresh == TtlRefresh::OnReadAndWrite
    }
}

/// A value in a table of values that expire. It is stored as the moment, then the value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Expiring<V> {
    pub(crate) expires_at: Timestamp,
    pub(crate) value: V,
}

impl<V> Expiring<V> {
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl Expiring<()> {
    /// The name of the type of such values, given that of theirs.
    pub(crate) fn name_of(value_type: &str) -> String {
        format!("{value_type}{SUFFIX}")
    }

    pub(crate) fn is_name(value_type: &str) -> bool {
        value_type.ends_with(SUFFIX)
    }

    /// The name of the type of the values that expire.
    pub(crate) fn inner_name(value_type: &str) -> String {
        value_type.strip_suffix(SUFFIX).unwrap_or(value_type).to_owned()
    }

    /// The moment and the bytes of the value.
    pub(crate) fn split(bytes: &[u8]) -> Result<(Timestamp, &[u8])> {
        postcard::take_from_bytes(bytes)
            .map_err(|error| Error::corrupted("a value that expires has no time").because(error))
    }
}

/// No name of a type ends with it.
const SUFFIX: &str = ", expiring";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::StateDescriptor;
    use crate::spec::TableSpec;
    use snapline_core::{SystemClock, decode, encode_into};

    #[test]
    fn the_stored_form_is_the_moment_and_then_the_value() {
        let expiring = Expiring {
            expires_at: Timestamp(-5),
            value: "text".to_owned(),
        };
        let mut bytes = Vec::new();
        encode_into(&expiring, &mut bytes).unwrap();
        let (expires_at, value) = Expiring::split(&bytes).unwrap();
        assert_eq!(expires_at, expiring.expires_at);
        assert_eq!(decode::<String>(value).unwrap(), expiring.value);
    }

    #[test]
    fn the_name_of_the_type_tells_values_that_expire() {
        #[derive(Clone, Serialize, Deserialize)]
        struct Expiring;

        let plain = StateDescriptor::<Expiring>::new("state");
        let ttl = StateTtl::new(Duration::from_secs(1));
        let expiring = plain.clone().time_to_live(ttl, Arc::new(SystemClock::new()));
        let [plain, expiring] =
            [plain, expiring].map(|state| TableSpec::of::<u64, _>(&state).meta().value_type.clone());
        assert_eq!(
            (plain.as_str(), expiring.as_str()),
            ("Expiring", "Expiring, expiring")
        );
        assert!(super::Expiring::is_name(&expiring) && !super::Expiring::is_name(&plain));
        assert_eq!(super::Expiring::inner_name(&expiring), plain);
    }
}
