//! What must not stand in any file.

use super::Finding;
use super::tree::Tree;

/// Spelled apart, so that this file passes its own rules.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Where a machine keeps what is its own.
const FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |line| {
        let word = UNFINISHED.iter().find(|word| contains_word(line, word))?;
        Some(format!("`{word}`: do it, or write an issue"))
    })
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |line| {
        let folder = FOLDERS.iter().find(|folder| contains_word(line, folder))?;
        Some(format!(
            "`{folder}...` exists on one machine only; use a relative path"
        ))
    })
}

/// Whether `needle` stands in `line` and is not the end of a longer word or path.
fn contains_word(line: &str, needle: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "_-.*}".contains(c);
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + needle.len()..].chars().next();
        let word_goes_on = needle.ends_with(char::is_alphabetic) && after.is_some_and(char::is_alphanumeric);
        !before.is_some_and(continues) && !word_goes_on
    })
}

fn each_line(tree: &Tree, check: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            findings
                .extend(check(line).map(|message| Finding::new(format!("{}:{number}", file.path), message)));
        }
    }
    findings
}
