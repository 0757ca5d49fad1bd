//! Lines of text files.

mod enumerator;
mod lines;
mod reader;
mod split;

use enumerator::TextFileEnumerator;
use reader::TextFileReader;
use snapline_connector::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::Result;
pub use split::TextFileSplit;
use std::path::{Path, PathBuf};

/// The lines of text files, without their ends (`\n` or `\r\n`); an empty line is a record, too.
///
/// Large files are read in parallel, as ranges of bytes: each reader has the lines that start in its
/// ranges. Lines of one range come in order. Where event time is aligned, single ranges wait.
///
/// Exactly once: a checkpoint has the byte at which the next line starts, and lines that were in
/// flight at a crash are read again. For that a file must not change while a job reads it, nor
/// between a checkpoint and the job that resumes from it: length, time of change, and a checksum of
/// the beginning and the end are compared, and a difference is an error. That holds for lines that
/// were appended, too. Files that appear after the job started at the beginning are not read.
#[derive(Debug, Clone)]
pub struct TextFileSource {
    path: PathBuf,
    invalid_utf8: InvalidUtf8,
}

/// What is done with bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUtf8 {
    /// The job fails, with the file and the position of the first such byte.
    #[default]
    Refuse,
    /// They become U+FFFD, the replacement character.
    Replace,
}

impl TextFileSource {
    /// Reads from a path or a `file:///` URL:
    /// * a file;
    /// * a directory: all files in it whose names do not start with a dot, but not the files of its
    ///   directories;
    /// * a pattern with `*`, `?`, `[...]` or `**`: all files that match, without those whose names
    ///   start with a dot unless the pattern's does. What exists by that very name is no pattern.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            invalid_utf8: InvalidUtf8::default(),
        }
    }

    /// Does this with bytes that are not UTF-8.
    #[must_use]
    pub fn invalid_utf8(self, invalid_utf8: InvalidUtf8) -> Self {
        Self { invalid_utf8, ..self }
    }
}

impl Source for TextFileSource {
    type Item = String;
    type Split = TextFileSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<TextFileSplit>>> {
        Ok(Box::new(TextFileEnumerator::new(&self.path)))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<String, TextFileSplit>>> {
        Ok(Box::new(TextFileReader::new(self.invalid_utf8)))
    }
}

#[cfg(test)]
mod tests;
