//! `cargo xtask tidy`: the rules of this house that no other tool knows, as data.

mod arrows;
mod layout;
mod plugins;
mod source;
mod tree;
mod words;

use crate::workspace;
use tree::Tree;

/// A rule: what it is called, and what breaks it in a tree.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// A place that breaks a rule, and what to do.
#[derive(Debug, PartialEq)]
struct Finding {
    place: String,
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

const RULES: &[Rule] = &[
    Rule {
        name: "arrows",
        check: arrows::dependencies,
    },
    Rule {
        name: "lints",
        check: arrows::inherited_lints,
    },
    Rule {
        name: "top level",
        check: layout::top_level,
    },
    Rule {
        name: "crate folders",
        check: layout::crate_folders,
    },
    Rule {
        name: "crate lists",
        check: layout::crate_lists,
    },
    Rule {
        name: "file names",
        check: layout::file_names,
    },
    Rule {
        name: "file size",
        check: source::size,
    },
    Rule {
        name: "file head",
        check: source::head,
    },
    Rule {
        name: "declared names",
        check: source::declared_names,
    },
    Rule {
        name: "memory safety",
        check: source::memory_safety,
    },
    Rule {
        name: "ignored tests",
        check: source::ignored_tests,
    },
    Rule {
        name: "plugins",
        check: plugins::chapter,
    },
    Rule {
        name: "unfinished work",
        check: words::unfinished,
    },
    Rule {
        name: "machine paths",
        check: words::machine_paths,
    },
];

pub(crate) fn run() -> Result<String, String> {
    let tree = Tree::read(&workspace::root(), workspace::packages()?)?;
    let findings = all_findings(&tree);
    if findings.is_empty() {
        return Ok(format!(" ({} files, {} rules)", tree.files.len(), RULES.len()));
    }
    Err(findings.join("\n"))
}

fn all_findings(tree: &Tree) -> Vec<String> {
    let of_rule = |rule: &Rule| {
        let name = rule.name;
        let findings = (rule.check)(tree);
        findings
            .into_iter()
            .map(move |found| format!("{}: {name}: {}", found.place, found.message))
    };
    RULES.iter().flat_map(of_rule).collect()
}

#[cfg(test)]
mod tests;
