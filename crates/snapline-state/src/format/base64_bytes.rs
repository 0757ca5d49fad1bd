//! Bytes in serde formats: base64 in those for people, plain in those for machines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return STANDARD.encode(bytes).serialize(serializer);
    }
    bytes.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        return STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(serde::de::Error::custom);
    }
    Bytes::deserialize(deserializer)
}
