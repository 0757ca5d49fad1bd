//! What a Rust file looks like.

use super::Finding;
use super::layout::EMPTY_WORDS;
use super::tree::{File, Tree};

/// A file has at most this many lines, tests aside.
const LINES: usize = 600;

/// Spelled apart, so that this file passes its own rules.
const KEYWORD: &str = concat!("un", "safe");

/// Crates that may switch off the compiler's checks, each for one reason.
pub(super) const EXCEPTIONS: &[&str] = &["snapline-prefetch"];

/// The items whose names are checked.
const DECLARATIONS: [&str; 5] = ["struct ", "enum ", "trait ", "mod ", "type "];

pub(super) fn size(tree: &Tree) -> Vec<Finding> {
    let too_long = tree.sources().filter(|file| !is_test(file)).filter_map(|file| {
        let lines = lines_without_tests(&file.text);
        (lines > LINES).then(|| Finding::new(&file.path, format!("has {lines} lines; split it at {LINES}")))
    });
    too_long.collect()
}

fn is_test(file: &File) -> bool {
    file.path.contains("/tests/") || file.name() == "tests.rs"
}

/// Inline tests stand last in a file, so counting stops where they begin.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ");
    lines.windows(2).position(begins).unwrap_or(lines.len())
}

pub(super) fn head(tree: &Tree) -> Vec<Finding> {
    let headless = tree.sources().filter(|file| !file.text.starts_with("//!"));
    headless
        .map(|file| Finding::new(&file.path, "must begin with `//!` and say what it is"))
        .collect()
}

pub(super) fn declared_names(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |line| {
        let name = declared(line)?;
        let word = words(name)
            .into_iter()
            .find(|word| EMPTY_WORDS.contains(&word.as_str()))?;
        Some(format!("`{name}` has `{word}` in its name; say what it is"))
    })
}

/// The name of the item that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with(' ') => rest.trim_start(),
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        _ => line,
    };
    let rest = DECLARATIONS.iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The words of `CamelCase` and `snake_case`, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if let (Some(word), true) = (words.last_mut(), c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words
}

pub(super) fn memory_safety(tree: &Tree) -> Vec<Finding> {
    let excepted = |place: &str| {
        EXCEPTIONS
            .iter()
            .any(|name| place.starts_with(&format!("crates/{name}/")))
    };
    let found = each_line(tree, |line| {
        let code = line.split("//").next().unwrap_or(line);
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == KEYWORD).then(|| {
            format!(
                "`{KEYWORD}` is forbidden; an exception is one crate of its own with one reason, under Miri"
            )
        })
    });
    found
        .into_iter()
        .filter(|finding| !excepted(&finding.place))
        .collect()
}

pub(super) fn ignored_tests(tree: &Tree) -> Vec<Finding> {
    each_line(tree, |line| {
        let bare = line.trim() == concat!("#[", "ignore]");
        bare.then(|| "give the reason: `#[ignore = \"...\"]`".to_owned())
    })
}

fn each_line(tree: &Tree, check: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        for (number, line) in file.lines() {
            findings
                .extend(check(line).map(|message| Finding::new(format!("{}:{number}", file.path), message)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_declaration_is_found_behind_its_visibility() {
        let cases = [
            ("pub struct TaskManager<T> {", Some("TaskManager")),
            ("    pub(crate) enum Kind {", Some("Kind")),
            ("mod common;", Some("common")),
            ("let common = 1;", None),
        ];
        for (line, name) in cases {
            assert_eq!(declared(line), name, "{line}");
        }
        assert_eq!(words("TaskManager_x"), ["", "task", "manager", "x"]);
    }

    #[test]
    fn inline_tests_do_not_count_as_lines() {
        assert_eq!(
            lines_without_tests("//! a\nfn b() {}\n#[cfg(test)]\nmod tests {\n}\n"),
            2
        );
        assert_eq!(lines_without_tests("//! a\n#[cfg(test)]\nfn b() {}\n"), 3);
    }
}
