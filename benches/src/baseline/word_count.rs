//! WordCount by hand: one pass over the bytes, one table, every update emitted; and the same in two threads.

use super::two_threads::{BATCH_BYTES, Peer, in_two_threads};
use crate::expected::Totals;
use hashbrown::HashTable;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::path::Path;
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
pub fn word_count(input: impl Read, mut sink: impl FnMut(&str, u64)) -> Result<()> {
    let mut counts = Counts::default();
    for_each_word(input, |word| counts.add(xxh3_64(word), word, &mut sink))
}

/// The same in two threads: each finds the words of one half of the file, and counts those that belong to it.
///
/// # Errors
/// As [`word_count`].
pub fn two_thread_word_count(path: &Path) -> Result<Totals> {
    let middle = middle(path)?;
    let [first, second] = in_two_threads(|index, mut peer: Peer<Words>| {
        let mut file = File::open(path)?;
        let len = [middle, u64::MAX][index];
        file.seek(SeekFrom::Start([0, middle][index]))?;
        let (mut counts, mut totals) = (Counts::default(), Totals::default());
        let mut sink = |word: &str, count| {
            black_box(word);
            totals.add(count);
        };
        let mut words = Words::default();
        for_each_word(file.take(len), |word| {
            let hash = xxh3_64(word);
            // A bit by which no table tells its words apart.
            if (hash >> 48) as usize & 1 == index {
                counts.add(hash, word, &mut sink);
            } else if words.push(hash, word) {
                peer.hand_over(&mut words, |words| counts.add_all(words, &mut sink));
            }
        })?;
        peer.hand_over(&mut words, |words| counts.add_all(words, &mut sink));
        peer.finish(|words| counts.add_all(words, &mut sink));
        Ok::<_, Error>(totals)
    });
    Ok(first?.and(second?))
}

/// Where the first line begins behind the middle of a file.
fn middle(path: &Path) -> Result<u64> {
    let file = File::open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut rest = BufReader::new(file);
    rest.seek(SeekFrom::Start(middle))?;
    Ok(middle + rest.skip_until(b'\n')? as u64)
}

/// Words for another thread, one behind the other.
#[derive(Default)]
struct Words {
    /// The hash of each, and where it ends.
    ends: Vec<(u64, usize)>,
    letters: Vec<u8>,
}

impl Words {
    /// Returns whether they are many.
    #[inline]
    fn push(&mut self, hash: u64, word: &[u8]) -> bool {
        self.letters.extend_from_slice(word);
        self.ends.push((hash, self.letters.len()));
        self.ends.len() * size_of::<(u64, usize)>() + self.letters.len() >= BATCH_BYTES
    }
}

/// Hands each word of a text to `each`, in small letters.
fn for_each_word(mut input: impl Read, mut each: impl FnMut(&[u8])) -> Result<()> {
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
        words_of_lines(&mut chunk[..complete], &mut each)?;
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

fn words_of_lines(lines: &mut [u8], each: &mut impl FnMut(&[u8])) -> Result<()> {
    if lines.is_ascii() {
        words_of_ascii(lines, each);
        return Ok(());
    }
    let text = std::str::from_utf8(lines).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .for_each(|word| each(word.as_bytes()));
    Ok(())
}

#[inline]
fn words_of_ascii(lines: &mut [u8], each: &mut impl FnMut(&[u8])) {
    let mut start = 0;
    for at in 0..lines.len() {
        let letter = LETTERS[usize::from(lines[at])];
        lines[at] = letter;
        if letter == 0 {
            if start < at {
                each(&lines[start..at]);
            }
            start = at + 1;
        }
    }
    if start < lines.len() {
        each(&lines[start..]);
    }
}

#[derive(Default)]
struct Counts(HashTable<(Box<str>, u64)>);

impl Counts {
    #[inline]
    fn add(&mut self, hash: u64, word: &[u8], sink: &mut impl FnMut(&str, u64)) {
        let entry = self.0.entry(
            hash,
            |(known, _)| known.as_bytes() == word,
            |(known, _)| xxh3_64(known.as_bytes()),
        );
        let mut entry = entry.or_insert_with(|| (String::from_utf8_lossy(word).into(), 0));
        let (word, count) = entry.get_mut();
        *count += 1;
        sink(word, *count);
    }

    /// Leaves no words behind.
    fn add_all(&mut self, words: &mut Words, sink: &mut impl FnMut(&str, u64)) {
        let mut start = 0;
        for (hash, end) in words.ends.drain(..) {
            self.add(hash, &words.letters[start..end], sink);
            start = end;
        }
        words.letters.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::expect_word_count;
    use crate::text::{TextSettings, write_text};
    use std::io::Write;

    fn check(text: &str) {
        let mut totals = Totals::default();
        word_count(text.as_bytes(), |_, count| totals.add(count)).unwrap();
        assert_eq!(totals, expect_word_count(text));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        assert_eq!(two_thread_word_count(file.path()).unwrap(), totals);
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
