//! Where things are and what files are called.

use super::Finding;
use super::tree::Tree;

/// What the root folder has, dot files aside.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clippy.toml",
    "crates",
    "examples",
    "rustfmt.toml",
    "xtask",
];

/// Names that say nothing about what is inside.
pub(super) const EMPTY_WORDS: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

/// Documents that list all crates.
const CRATE_LISTS: &[&str] = &["README.md", "ARCHITECTURE.md"];

/// Packages outside of `crates/` that documents may speak of.
const OTHER_PACKAGES: &[&str] = &["snapline-examples", "snapline-benches"];

pub(super) fn top_level(tree: &Tree) -> Vec<Finding> {
    let missing = TOP_LEVEL
        .iter()
        .filter(|name| !tree.top_level.iter().any(|entry| entry == *name))
        .map(|name| Finding::new(*name, "is missing at the top level"));
    let known = |name: &str| name.starts_with('.') || name == "target" || TOP_LEVEL.contains(&name);
    let extra = tree
        .top_level
        .iter()
        .filter(|name| !known(name))
        .map(|name| Finding::new(name, "does not belong at the top level; find its folder"));
    missing.chain(extra).collect()
}

/// A folder in `crates/` is called as its package.
pub(super) fn crate_folders(tree: &Tree) -> Vec<Finding> {
    let is_package = |name: &str| {
        let manifest = tree.file(&format!("crates/{name}/Cargo.toml"));
        manifest.is_some_and(|file| file.text.contains(&format!("name = \"{name}\"")))
    };
    let crates = tree.crates().into_iter();
    crates
        .filter(|name| !is_package(name))
        .map(|name| Finding::new(format!("crates/{name}"), "must hold the package of the same name"))
        .collect()
}

/// README and ARCHITECTURE name every crate, and none that does not exist.
pub(super) fn crate_lists(tree: &Tree) -> Vec<Finding> {
    let documents = CRATE_LISTS.iter().filter_map(|path| tree.file(path));
    documents
        .flat_map(|file| {
            let crates = tree.crates();
            let named = crate_names(&file.text);
            let missing = crates
                .iter()
                .filter(|name| !named.contains(name))
                .map(|name| Finding::new(&file.path, format!("does not mention the crate {name}")));
            let invented = named
                .iter()
                .filter(|name| !crates.contains(name) && !OTHER_PACKAGES.contains(name))
                .map(|name| Finding::new(&file.path, format!("mentions {name}, which is no crate")));
            missing.chain(invented).collect::<Vec<_>>()
        })
        .collect()
}

/// All words of a text that are `snapline` or begin with `snapline-`. A pattern such as
/// `snapline-state-*` is none.
fn crate_names(text: &str) -> Vec<&str> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
    let words = text.split(|c: char| !in_word(c));
    let mut names: Vec<&str> = words
        .filter(|word| *word == "snapline" || word.starts_with("snapline-"))
        .filter(|word| !word.contains(['*', '_']))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn file_names(tree: &Tree) -> Vec<Finding> {
    let finding = |path: &str| {
        let name = path.rsplit('/').next()?;
        if name == "mod.rs" {
            return Some(Finding::new(
                path,
                "is `foo.rs` beside the folder `foo` here, not `foo/mod.rs`",
            ));
        }
        let parts = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        let word = parts
            .flat_map(|part| part.split(['_', '-']))
            .find(|word| EMPTY_WORDS.contains(word))?;
        Some(Finding::new(
            path,
            format!("has `{word}` in its name; say what is inside"),
        ))
    };
    tree.sources().filter_map(|file| finding(&file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_name_is_a_whole_word() {
        let text = "the `snapline` facade, snapline-core; snapline-state-* and snapline_core, Snapline's";
        assert_eq!(crate_names(text), ["snapline", "snapline-core"]);
    }
}
