//! Files as sources and exactly-once sinks for Snapline.
//!
//! [`TextFileSource`] reads lines of text in parallel. [`FileSource`] reads records of any format, plain or compressed, of a
//! folder that may be watched for new files. [`FileSink`] writes records to files that appear when the checkpoint that
//! contains them is complete.

mod file_sink;
mod file_source;
mod fingerprint;
mod line_count;
mod local_path;
mod locate;
#[cfg(test)]
mod testing;
mod text_file;

pub use file_sink::{ExistingOutput, FileSink, FileSinkPart};
#[cfg(feature = "csv")]
pub use file_source::CsvFormat;
pub use file_source::{
    Compression, FileOrder, FileOrigin, FileSource, FileSplit, Undecodable, UndecodableRecord,
};
pub use snapline_connector::SkippedRecords;
pub use text_file::{InvalidUtf8, TextFileSource, TextFileSplit};
