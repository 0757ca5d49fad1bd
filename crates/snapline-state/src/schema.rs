//! What the keys and values of a table look like, for readers without the program's types.

mod decode;
mod trace;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use snapline_core::Result;

/// The shapes of the keys and the values of a table, recorded when a program registers it.
///
/// State is postcard, which does not describe itself; with the schema its entries can be shown as JSON.
/// It is for people and tools: whether a program can read a table is decided by the names of the types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    key: Shape,
    value: Shape,
    /// Structs and enums, to which shapes refer, so that types may be recursive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<TypeShape>,
}

/// One value in the data model of serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Shape {
    /// Not seen yet; never in a finished schema.
    #[serde(skip)]
    Unknown,
    Unit,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    String,
    Bytes,
    Option(Box<Shape>),
    Seq(Box<Shape>),
    Tuple(Vec<Shape>),
    Map(Box<Shape>, Box<Shape>),
    /// One of [`Schema::types`].
    Type(usize),
}

/// A struct or an enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TypeShape {
    Struct {
        name: String,
        fields: Fields,
    },
    Enum {
        name: String,
        variants: Vec<(String, Fields)>,
    },
}

/// What a struct or a variant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fields {
    /// Not seen yet; never in a finished schema.
    #[serde(skip)]
    Unknown,
    Unit,
    Newtype(Shape),
    Tuple(Vec<Shape>),
    Named(Vec<(String, Shape)>),
}

impl Schema {
    /// The schema of a table, found by letting its types read from something that notes what they ask for.
    ///
    /// `None` for types that cannot be followed: those that accept only certain values, such as a number between
    /// 10 and 20 or a text of a certain form, that are very large, or whose `Deserialize` panics.
    pub fn of<K: DeserializeOwned, V: DeserializeOwned>() -> Option<Self> {
        trace::trace::<K, V>()
    }

    /// An encoded key as JSON.
    ///
    /// Structs are objects, enums are the variant's name or an object of it, maps with keys of text are objects and
    /// other maps lists of pairs, bytes are `0x` and digits; numbers beyond 64 bits or not finite are texts.
    ///
    /// # Errors
    /// `Corrupted` when the bytes are not of this shape.
    pub fn key_to_json(&self, bytes: &[u8]) -> Result<Value> {
        decode::decode(&self.types, &self.key, bytes)
    }

    /// An encoded value as JSON, see [`Schema::key_to_json`].
    ///
    /// # Errors
    /// `Corrupted` when the bytes are not of this shape.
    pub fn value_to_json(&self, bytes: &[u8]) -> Result<Value> {
        decode::decode(&self.types, &self.value, bytes)
    }
}

/// A schema that a newer version wrote in another way is none; the table can be read without.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Schema>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}
