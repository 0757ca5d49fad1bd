//! Names in a checkpoint storage.

use serde::{Deserialize, Serialize};
use snapline_core::{Error, Result};
use std::fmt;

/// The name of one object in a [`crate::CheckpointStorage`]: segments joined by `/`.
///
/// A segment has 1 to 200 characters out of ASCII letters, digits, `-`, `_` and `.`, and does not
/// start with a dot. So a key is a relative path on every file system and a plain name in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorageKey(String);

impl StorageKey {
    /// Checks and keeps the text.
    ///
    /// # Errors
    /// `Invalid` when a segment breaks the rule above.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.split('/').all(is_segment) {
            return Ok(Self(text));
        }
        Err(Error::invalid(
            "a storage key must be segments of ASCII letters, digits, '-', '_' and '.', joined by '/', none starting with a dot",
        )
        .with("given", format!("{text:?}")))
    }

    /// The key of something below this one.
    ///
    /// # Errors
    /// `Invalid` when `rest` is not made of valid segments.
    pub fn join(&self, rest: &str) -> Result<Self> {
        Self::new(format!("{}/{rest}", self.0))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

fn is_segment(segment: &str) -> bool {
    (1..=200).contains(&segment.len())
        && !segment.starts_with('.')
        && segment
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl TryFrom<String> for StorageKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<StorageKey> for String {
    fn from(key: StorageKey) -> Self {
        key.0
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_inside_its_storage() {
        for text in ["", "/a", "a/", "a//b", "../a", "a/.b", "a b", "ä"] {
            assert!(StorageKey::new(text).is_err(), "{text:?}");
        }
        let key = StorageKey::new("job/epoch").unwrap().join("0001.json").unwrap();
        assert_eq!((key.as_str(), key.name()), ("job/epoch/0001.json", "0001.json"));
    }
}
