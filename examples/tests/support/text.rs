//! Input for the tests.

use snapline_benches::{TextSettings, write_text};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// A text with Zipf's words, the same for the same settings.
pub(crate) fn text_of(bytes: u64, seed: u64) -> String {
    let mut text = Vec::new();
    write_text(&settings(bytes, seed), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The same in a file.
pub(crate) fn write_text_file(path: &Path, bytes: u64, seed: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    write_text(&settings(bytes, seed), &mut file).unwrap();
}

fn settings(bytes: u64, seed: u64) -> TextSettings {
    TextSettings {
        bytes,
        seed,
        vocabulary: 5_000,
    }
}
