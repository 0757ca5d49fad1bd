//! What was committed, and what should have been.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How often each word stands in a text.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Counts in the plainest way.
pub(crate) fn count_words(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        } else if !word.is_empty() {
            match counts.get_mut(&word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.clone(), 1)),
            }
            word.clear();
        }
    }
    counts
}

/// All lines of all files in the folder whose names do not start with a dot: what a reader sees.
pub(crate) fn committed_lines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return lines;
    };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            lines.extend(committed_lines(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{} ends in half a line",
                path.display()
            );
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

/// Each word has each running count from 1 to its count, once.
pub(crate) fn assert_exactly_once(folder: &Path, expected: &Counts) {
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let (mut repeated, mut lines) = (Vec::new(), 0_u64);
    for line in committed_lines(folder) {
        let (word, count) = line
            .split_once('\t')
            .unwrap_or_else(|| panic!("no tab in {line:?}"));
        let count: u64 = count.parse().unwrap_or_else(|_| panic!("no count in {line:?}"));
        lines += 1;
        let counts = match seen.get_mut(word) {
            Some(counts) => counts,
            None => seen.entry(word.to_owned()).or_default(),
        };
        if !counts.insert(count) {
            repeated.push(line);
        }
    }
    let all: u64 = expected.values().sum();
    assert!(
        repeated.is_empty(),
        "{} of {all} lines came twice, as {:?}",
        repeated.len(),
        repeated.first()
    );
    for (word, count) in expected {
        let counts = seen.remove(word).unwrap_or_default();
        let whole = counts.len() as u64 == *count && counts.last().is_none_or(|last| last == count);
        let missing = (1..=*count).find(|n| !counts.contains(n));
        assert!(
            whole,
            "{word} should be counted up to {count}: {} lines, {missing:?} is missing",
            counts.len()
        );
    }
    assert!(
        seen.is_empty(),
        "words that are not in the text: {:?}",
        seen.keys().next()
    );
    assert_eq!(lines, all);
}
