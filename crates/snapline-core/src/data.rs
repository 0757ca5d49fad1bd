//! What may travel on a stream, and what may be a key.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A record type: implemented for everything that has what it takes.
///
/// Records are sent between threads, cloned where a stream forks, and encoded when a snapshot
/// has to contain what is in flight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a record of a stream, or kept in a state",
    label = "this type must implement `Clone`, `Send`, `serde::Serialize` and `serde::de::DeserializeOwned`",
    note = "derive them: `#[derive(Clone, serde::Serialize, serde::Deserialize)]`; borrow nothing, or own a copy"
)]
pub trait Data: Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Send + Serialize + DeserializeOwned + 'static> Data for T {}

/// A key type: a record type with equality.
///
/// Equal keys must have equal encodings, because a key is dealt out by the hash of its encoding.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "this type must implement `Eq`, `Clone`, `Send`, `serde::Serialize` and `serde::de::DeserializeOwned`",
    note = "floating-point numbers have no `Eq`: use their bits or an integer instead"
)]
pub trait Key: Data + Eq {}

impl<T: Data + Eq> Key for T {}

/// A record together with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "K: Key, T: Data")]
pub struct Keyed<K, T> {
    /// The key by which the record was dealt out.
    pub key: K,
    /// The record.
    pub record: T,
}
