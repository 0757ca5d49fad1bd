//! What is known of the splits of a source that grows.

use serde::{Deserialize, Serialize};
use snapline_core::stable_fingerprint;
use std::collections::HashSet;

/// The names of the splits that were found so far, so that none is found twice. A checkpoint has them.
///
/// A name is any bytes that no two splits share, such as the path of a file; 16 bytes are kept of it, for ever.
///
/// ```
/// use snapline_connector::SeenSplits;
///
/// let mut seen = SeenSplits::default();
/// assert!(seen.insert("orders/part-7.csv"));
/// assert!(!seen.insert("orders/part-7.csv"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u128>", into = "Vec<u128>")]
pub struct SeenSplits {
    fingerprints: HashSet<u128>,
}

impl SeenSplits {
    /// Notes a split. Returns whether it is new.
    pub fn insert(&mut self, name: impl AsRef<[u8]>) -> bool {
        self.fingerprints.insert(stable_fingerprint(name.as_ref()))
    }

    /// Whether a split was found before.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.fingerprints.contains(&stable_fingerprint(name.as_ref()))
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }
}

impl From<Vec<u128>> for SeenSplits {
    fn from(fingerprints: Vec<u128>) -> Self {
        Self {
            fingerprints: fingerprints.into_iter().collect(),
        }
    }
}

/// In order, so that the same is stored in the same way.
impl From<SeenSplits> for Vec<u128> {
    fn from(seen: SeenSplits) -> Self {
        let mut fingerprints: Self = seen.fingerprints.into_iter().collect();
        fingerprints.sort_unstable();
        fingerprints
    }
}

/// The splits that a look at a source has found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct DiscoveredSplits<S> {
    /// Those that are new.
    pub splits: Vec<S>,
    /// Whether to look again.
    pub outlook: DiscoveryOutlook,
}

/// Whether a source may have more splits than those that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there may be more, or not")]
pub enum DiscoveryOutlook {
    /// There may be: its readers wait for them.
    MoreMayCome,
    /// There never will be: its readers end with those that they have.
    Complete,
}

impl<S> DiscoveredSplits<S> {
    /// These, and there may be more later.
    pub fn so_far(splits: Vec<S>) -> Self {
        Self {
            splits,
            outlook: DiscoveryOutlook::MoreMayCome,
        }
    }

    /// These, and there will never be others.
    pub fn last(splits: Vec<S>) -> Self {
        Self {
            splits,
            outlook: DiscoveryOutlook::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::{decode, encode_into};

    #[test]
    fn what_was_seen_is_seen_after_a_restore() {
        let mut seen = SeenSplits::default();
        let names: Vec<String> = (0..100).map(|number| format!("file-{number}")).collect();
        names.iter().for_each(|name| assert!(seen.insert(name)));
        let mut encoded = Vec::new();
        encode_into(&seen, &mut encoded).unwrap();
        let mut restored: SeenSplits = decode(&encoded).unwrap();
        assert_eq!((restored.len(), &restored), (100, &seen));
        assert!(names.iter().all(|name| restored.contains(name)));
        assert!(!restored.contains("file-100") && restored.insert("file-100"));
        let mut again = Vec::new();
        encode_into(&decode::<SeenSplits>(&encoded).unwrap(), &mut again).unwrap();
        assert_eq!(again, encoded);
    }
}
