//! WordCount by hand: one pass over the bytes, one table, every update emitted.

use hashbrown::HashTable;
use std::io::{Error, ErrorKind, Read, Result};
use xxhash_rust::xxh3::xxh3_64;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// The byte in small letters, or 0 when it separates words. Bytes of other alphabets are not here.
const LETTERS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Counts the words of `input` and hands each word with its running count to `sink`.
///
/// # Errors
/// What the input answers, and `InvalidData` when it is not UTF-8.
pub fn word_count(mut input: impl Read, mut sink: impl FnMut(&str, u64)) -> Result<()> {
    let mut counts = Counts::default();
    let mut chunk = vec![0; CHUNK];
    let mut filled = 0;
    loop {
        if filled == chunk.len() {
            chunk.resize(chunk.len() * 2, 0);
        }
        let read = input.read(&mut chunk[filled..])?;
        filled += read;
        let complete = if read == 0 {
            filled
        } else {
            last_line_end(&chunk[..filled])
        };
        counts.count(&mut chunk[..complete], &mut sink)?;
        chunk.copy_within(complete..filled, 0);
        filled -= complete;
        if read == 0 {
            return Ok(());
        }
    }
}

fn last_line_end(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

#[derive(Default)]
struct Counts(HashTable<(Box<str>, u64)>);

impl Counts {
    fn count(&mut self, lines: &mut [u8], sink: &mut impl FnMut(&str, u64)) -> Result<()> {
        if lines.is_ascii() {
            self.count_ascii(lines, sink);
            return Ok(());
        }
        let text = std::str::from_utf8(lines).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .for_each(|word| self.add(word.as_bytes(), sink));
        Ok(())
    }

    fn count_ascii(&mut self, lines: &mut [u8], sink: &mut impl FnMut(&str, u64)) {
        let mut start = 0;
        for at in 0..lines.len() {
            let letter = LETTERS[usize::from(lines[at])];
            lines[at] = letter;
            if letter == 0 {
                if start < at {
                    self.add(&lines[start..at], sink);
                }
                start = at + 1;
            }
        }
        if start < lines.len() {
            self.add(&lines[start..], sink);
        }
    }

    #[inline]
    fn add(&mut self, word: &[u8], sink: &mut impl FnMut(&str, u64)) {
        let hash = |word: &[u8]| xxh3_64(word);
        let entry = self.0.entry(
            hash(word),
            |(known, _)| known.as_bytes() == word,
            |(known, _)| hash(known.as_bytes()),
        );
        let mut entry = entry.or_insert_with(|| (String::from_utf8_lossy(word).into(), 0));
        let (word, count) = entry.get_mut();
        *count += 1;
        sink(word, *count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::{Totals, expect_word_count};
    use crate::text::{TextSettings, write_text};

    fn check(text: &str) {
        let mut totals = Totals::default();
        word_count(text.as_bytes(), |_, count| totals.add(count)).unwrap();
        assert_eq!(totals, expect_word_count(text));
    }

    #[test]
    fn it_counts_as_the_expectation_does() {
        for text in [
            "",
            "one",
            "One, TWO two\n\n x1 ",
            "Über den Fluß\nÜBER den\n",
            &"a".repeat(CHUNK * 2),
        ] {
            check(text);
        }
        let mut bytes = Vec::new();
        let settings = TextSettings {
            bytes: 3 * CHUNK as u64,
            seed: 5,
            vocabulary: 5000,
        };
        write_text(&settings, &mut bytes).unwrap();
        check(&String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let error = word_count(&b"a \xff b"[..], |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
