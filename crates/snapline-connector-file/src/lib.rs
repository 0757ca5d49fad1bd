//! Files as sources and exactly-once sinks for Snapline.
//!
//! [`TextFileSource`] reads lines of text in parallel, [`FileSink`] writes records to files that
//! appear when the checkpoint that contains them is complete.

mod file_sink;
mod local_path;
#[cfg(test)]
mod testing;
mod text_file;

pub use file_sink::{ExistingOutput, FileSink, FileSinkPart};
pub use text_file::{InvalidUtf8, TextFileSource, TextFileSplit};
