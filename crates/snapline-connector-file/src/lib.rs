//! Files as sources and exactly-once sinks for Snapline.
//!
//! [`TextFileSource`] reads lines of text in parallel.

mod local_path;
#[cfg(test)]
mod testing;
mod text_file;

pub use text_file::{InvalidUtf8, TextFileSource, TextFileSplit};
