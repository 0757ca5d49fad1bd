//! The frame around every JSON object in the store.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use snapline_core::{Error, Result};

/// What a document is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DocumentFormat {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

/// The frame is the same in all versions of all formats, so that damage and age can be told apart.
#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u32,
    /// Of the format, the version and the exact text of the body.
    crc32c: u32,
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Read<'a> {
    format: String,
    version: u32,
    crc32c: u32,
    #[serde(borrow)]
    body: &'a RawValue,
}

pub(crate) fn encode<T: Serialize>(format: DocumentFormat, body: &T) -> Result<Bytes> {
    let unencodable = |error| {
        Error::internal("a document cannot be encoded")
            .with("format", format.name)
            .because(error)
    };
    let text = serde_json::to_string_pretty(body).map_err(unencodable)?;
    let body = RawValue::from_string(text).map_err(unencodable)?;
    let document = Written {
        format: format.name,
        version: format.version,
        crc32c: checksum(format.name, format.version, body.get()),
        body: &body,
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(unencodable)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

/// Whether bytes say that they are a document of this format, of whatever version.
pub(crate) fn is(format: DocumentFormat, bytes: &[u8]) -> bool {
    serde_json::from_slice::<Read<'_>>(bytes).is_ok_and(|document| document.format == format.name)
}

pub(crate) fn decode<T: DeserializeOwned>(format: DocumentFormat, bytes: &[u8]) -> Result<T> {
    let damaged = |message: &str| Error::corrupted(message).with("format", format.name);
    let unreadable = "a document of the checkpoint store cannot be read";
    let document: Read<'_> =
        serde_json::from_slice(bytes).map_err(|error| damaged(unreadable).because(error))?;
    let checksum = checksum(&document.format, document.version, document.body.get());
    if checksum != document.crc32c {
        return Err(damaged(
            "the checksum of a document of the checkpoint store does not match",
        ));
    }
    if document.format != format.name {
        return Err(damaged("a document of the checkpoint store is of another format")
            .with("found", format!("{:?}", document.format)));
    }
    if document.version != format.version {
        return Err(Error::unsupported(
            "a document of the checkpoint store was written by a newer version of Snapline; run that version",
        )
        .with("format", format.name)
        .with("format version", document.version)
        .with("supported", format.version));
    }
    serde_json::from_str(document.body.get()).map_err(|error| damaged(unreadable).because(error))
}

fn checksum(format: &str, version: u32, body: &str) -> u32 {
    let head = format!("{format}\n{version}\n");
    crc32c::crc32c_append(crc32c::crc32c(head.as_bytes()), body.as_bytes())
}

#[cfg(test)]
mod fuzz;
