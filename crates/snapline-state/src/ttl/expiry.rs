//! What is stored beside values and items that expire.

use serde::{Deserialize, Serialize};
use snapline_core::{Error, Result, Timestamp};

/// What in a table expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Expiry {
    #[default]
    Nothing,
    /// The value of a key as a whole: an [`Expiring`].
    Values,
    /// Each item of the collection of a key: an [`ExpiringItems`].
    Items,
}

/// A value in a table of values that expire. It is stored as the moment, then the value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Expiring<V> {
    pub(crate) expires_at: Timestamp,
    pub(crate) value: V,
}

/// Items that expire. They are stored as their moments, in order, then the items.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ExpiringItems<C> {
    pub(crate) expire_at: Vec<Timestamp>,
    pub(crate) items: C,
}

/// A stored value that may be gone one day.
pub(crate) trait Mortal {
    /// Whether something of it has not expired.
    fn is_alive(&self, now: Timestamp) -> bool;
}

impl<V> Mortal for Expiring<V> {
    fn is_alive(&self, now: Timestamp) -> bool {
        is_alive(self.expires_at, now)
    }
}

impl<C> Mortal for ExpiringItems<C> {
    fn is_alive(&self, now: Timestamp) -> bool {
        self.expire_at.iter().any(|moment| is_alive(*moment, now))
    }
}

/// Whether what expires at a moment has not by now. What expires at the end of time never does.
pub(crate) fn is_alive(expires_at: Timestamp, now: Timestamp) -> bool {
    now < expires_at || expires_at == Timestamp::MAX
}

impl Expiry {
    /// What expires in a table of values of this type, with the type that they would have if nothing did.
    pub(crate) fn of_type(value_type: &str) -> (Self, &str) {
        let suffixes = [Self::Items, Self::Values];
        let known = suffixes.into_iter().find_map(|expiry| {
            let bare = value_type.strip_suffix(expiry.suffix())?;
            Some((expiry, bare))
        });
        known.unwrap_or((Self::Nothing, value_type))
    }

    /// The name of the type of values of which something expires.
    pub(crate) fn type_of(self, value_type: &str) -> String {
        format!("{value_type}{}", self.suffix())
    }

    /// No name of a type ends with one of them.
    fn suffix(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Values => ", expiring",
            Self::Items => ", each item expiring",
        }
    }

    /// The moments of a stored value, and the bytes of what is stored beside them.
    pub(crate) fn split(self, stored: &[u8]) -> Result<(Vec<Timestamp>, &[u8])> {
        match self {
            Self::Nothing => Ok((Vec::new(), stored)),
            Self::Values => {
                let (expires_at, value) = take(stored)?;
                Ok((vec![expires_at], value))
            }
            Self::Items => take(stored),
        }
    }

    /// The stored form of these bytes with moments: those from before, or of one for all.
    pub(crate) fn join(self, moments: &[Timestamp], bare: &[u8]) -> Result<Vec<u8>> {
        let latest = moments.iter().max().copied().unwrap_or(Timestamp::MAX);
        let mut stored = match self {
            Self::Nothing => Vec::new(),
            Self::Values => encoded(&latest)?,
            Self::Items => {
                let (items, _): (u64, _) = take(bare)?;
                let items = u32::try_from(items).map_err(|_| too_many())? as usize;
                if items == moments.len() {
                    encoded(&moments)?
                } else {
                    encoded(&vec![latest; items])?
                }
            }
        };
        stored.extend_from_slice(bare);
        Ok(stored)
    }
}

#[cold]
fn too_many() -> Error {
    Error::corrupted("a collection says that it has more items than any has")
}

fn take<'b, T: Deserialize<'b>>(stored: &'b [u8]) -> Result<(T, &'b [u8])> {
    postcard::take_from_bytes(stored)
        .map_err(|error| Error::corrupted("a value that expires has no time").because(error))
}

fn encoded<T: Serialize>(moments: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    snapline_core::encode_into(moments, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::StateDescriptor;
    use crate::spec::TableSpec;
    use crate::ttl::StateTtl;
    use snapline_core::{SystemClock, decode};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_stored_form_is_the_moments_and_then_the_bare_value() {
        let moment = Timestamp(-5);
        let expiring = Expiring {
            expires_at: moment,
            value: "text".to_owned(),
        };
        let (moments, bare) = Expiry::Values
            .split(&encoded(&expiring).unwrap())
            .map(owned)
            .unwrap();
        assert_eq!(
            (moments, decode::<String>(&bare).unwrap()),
            (vec![moment], expiring.value)
        );

        let items = ExpiringItems {
            expire_at: vec![moment, Timestamp(7)],
            items: BTreeMap::from([(1_u8, "a".to_owned()), (2, "b".to_owned())]),
        };
        let stored = encoded(&items).unwrap();
        let (moments, bare) = Expiry::Items.split(&stored).map(owned).unwrap();
        assert_eq!(moments, items.expire_at);
        assert_eq!(decode::<BTreeMap<u8, String>>(&bare).unwrap(), items.items);
        assert_eq!(Expiry::Items.join(&moments, &bare).unwrap(), stored);
        let all_at_seven = Expiry::Items.join(&moments[1..], &bare).unwrap();
        let all_at_seven: ExpiringItems<BTreeMap<u8, String>> = decode(&all_at_seven).unwrap();
        assert_eq!(all_at_seven.expire_at, [Timestamp(7); 2]);
    }

    fn owned((moments, bare): (Vec<Timestamp>, &[u8])) -> (Vec<Timestamp>, Vec<u8>) {
        (moments, bare.to_vec())
    }

    #[test]
    fn the_name_of_the_type_tells_what_expires() {
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
        assert_eq!(Expiry::of_type(&plain), (Expiry::Nothing, "Expiring"));
        assert_eq!(Expiry::of_type(&expiring), (Expiry::Values, "Expiring"));
        let items = Expiry::Items.type_of("Vec<u64>");
        assert_eq!(Expiry::of_type(&items), (Expiry::Items, "Vec<u64>"));
    }
}
