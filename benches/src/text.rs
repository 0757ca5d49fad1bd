//! A text whose words follow Zipf's law, the same for the same settings.

use crate::random::SplitMix64;
use std::io::{Result, Write};

/// What a text is made of.
#[derive(Debug, Clone)]
pub struct TextSettings {
    /// How long it is at least, in bytes; the last line is complete.
    pub bytes: u64,
    /// Which text it is.
    pub seed: u64,
    /// How many different words there are at the most. At least 1.
    pub vocabulary: usize,
}

const SYLLABLES: [&str; 16] = [
    "an", "bar", "co", "del", "en", "fi", "gor", "ha", "il", "ka", "lum", "me", "no", "ri", "sta", "to",
];

/// Writes the text and tells how many bytes it has.
///
/// Words have five letters on average, the n-th most frequent stands n times less often than the
/// first. A sentence begins with a capital and ends with a dot; a line is a sentence.
///
/// # Errors
/// What the output answers.
pub fn write_text(settings: &TextSettings, output: &mut impl Write) -> Result<u64> {
    let mut random = SplitMix64::new(settings.seed);
    let words = vocabulary(settings.vocabulary);
    let weights = cumulative_weights(words.len());
    let mut written = 0;
    let mut line = String::new();
    while written < settings.bytes {
        line.clear();
        for index in 0..5 + random.below(11) {
            let word = &words[draw(&weights, random.fraction())];
            if index == 0 {
                line.push_str(&word[..1].to_uppercase());
                line.push_str(&word[1..]);
            } else {
                line.push_str(if random.below(10) == 0 { ", " } else { " " });
                line.push_str(word);
            }
        }
        line.push_str(".\n");
        output.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    output.flush()?;
    Ok(written)
}

/// Two syllables while they last, then three, then four: frequent words are short.
fn vocabulary(size: usize) -> Vec<String> {
    let base = SYLLABLES.len();
    let word = |index: usize| {
        let mut rest = index;
        let mut word = String::new();
        for digit in 0.. {
            word.push_str(SYLLABLES[rest % base]);
            rest /= base;
            if rest == 0 && digit >= 1 {
                break;
            }
        }
        word
    };
    (0..size.max(1)).map(word).collect()
}

/// The sum of 1/n up to each word, as a part of the whole.
fn cumulative_weights(size: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let mut weights: Vec<f64> = (1..=size)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

fn draw(weights: &[f64], fraction: f64) -> usize {
    weights
        .partition_point(|weight| *weight <= fraction)
        .min(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u64) -> String {
        let settings = TextSettings {
            bytes: 100_000,
            seed,
            vocabulary: 1000,
        };
        let mut bytes = Vec::new();
        let written = write_text(&settings, &mut bytes).unwrap();
        assert_eq!(written, bytes.len() as u64);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        assert!(text(1).ends_with(".\n"));
    }

    #[test]
    fn the_second_word_stands_half_as_often_as_the_first() {
        let text = text(3).to_lowercase();
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
            .collect();
        let count = |word: &str| words.iter().filter(|w| **w == word).count() as f64;
        let ratio = count(&vocabulary(2)[0]) / count(&vocabulary(2)[1]);
        assert!((1.7..2.3).contains(&ratio), "{ratio}");
        let letters: usize = words.iter().map(|word| word.len()).sum();
        assert!((4..=6).contains(&(letters / words.len())));
    }

    #[test]
    fn all_words_differ() {
        let mut words = vocabulary(70_000);
        words.sort_unstable();
        words.dedup();
        assert!(words.len() > 60_000, "{}", words.len());
    }
}
