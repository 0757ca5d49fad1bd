//! What is done with records that cannot be decoded.

use snapline_core::Error;

/// What is done with a record that cannot be decoded. A job that fails names the file, the line and the byte.
pub type Undecodable = snapline_connector::Undecodable<UndecodableRecord>;

/// A record that cannot be decoded, and where it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UndecodableRecord {
    /// The file.
    pub path: String,
    /// The line of the text on which it starts, counted from 1.
    pub line: u64,
    /// The byte of the text, decompressed, at which it starts, counted from 0.
    pub byte: u64,
    /// Its bytes, without the line end; of CSV the values, without what is between them.
    pub raw: Vec<u8>,
    /// Why it cannot be decoded.
    pub error: Error,
}

impl UndecodableRecord {
    /// The error with which the job fails.
    pub(super) fn into_error(self) -> Error {
        Error::invalid(
            "a record of an input file cannot be decoded; correct it, or have such records left out with \
             on_undecodable",
        )
        .with("path", self.path)
        .with("line", self.line)
        .with("byte", self.byte)
        .because(self.error)
    }
}
