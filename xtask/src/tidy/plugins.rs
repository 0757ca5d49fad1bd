//! The chapter about plugins shows them as they are.

use super::Finding;
use super::tree::{File, Tree};
use crate::workspace::PLUGINS;

const CHAPTER: &str = "crates/snapline-state/src/plugin.rs";

/// What a plugin depends on, and its whole test, stand in the chapter.
pub(super) fn chapter(tree: &Tree) -> Vec<Finding> {
    let chapter = tree.file(CHAPTER).map_or(String::new(), |file| prose(&file.text));
    let shown = tree.files.iter().filter_map(|file| Some((file, shown(file)?)));
    shown
        .filter(|(_, text)| !chapter.contains(text.trim()))
        .map(|(file, _)| Finding::new(&file.path, format!("is not shown in {CHAPTER} as it is")))
        .collect()
}

/// The part of a file that the chapter has to show.
fn shown(file: &File) -> Option<&str> {
    let path = file.path.strip_prefix(PLUGINS)?;
    if path.ends_with("/Cargo.toml") {
        return Some(&file.text[file.text.find("[dependencies]")?..]);
    }
    // All but the first line, which says what the file is.
    let is_test = path.contains("/tests/") && path.ends_with(".rs");
    is_test.then(|| file.text.trim_start_matches(|c| c != '\n'))
}

/// What stands behind the `//!` of a module.
fn prose(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}
