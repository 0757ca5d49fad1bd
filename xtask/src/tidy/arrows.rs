//! Which crate may depend on which.

use super::Finding;
use super::source::EXCEPTIONS;
use super::tree::{File, Tree};
use crate::workspace::{Dependency, PLUGINS, Package};

/// A crate and the crates of this workspace that it may use. A name that ends in `*` stands for
/// all that begin so. The first row that fits a crate counts.
const ARROWS: &[(&str, &[&str])] = &[
    ("snapline-core", &[]),
    ("snapline-prefetch", &[]),
    ("snapline-state", &["snapline-prefetch", "snapline-core"]),
    ("snapline-connector", &["snapline-core"]),
    ("snapline-objects", &["snapline-core"]),
    (
        "snapline-dataflow",
        &[
            "snapline-coordinator",
            "snapline-state",
            "snapline-connector",
            "snapline-prefetch",
            "snapline-core",
        ],
    ),
    (
        "snapline-coordinator",
        &["snapline-barrier", "snapline-state", "snapline-core"],
    ),
    ("snapline-barrier", &["snapline-core"]),
    (
        "snapline-state-*",
        &["snapline-state", "snapline-objects", "snapline-core"],
    ),
    (
        "snapline-connector-*",
        &["snapline-connector", "snapline-objects", "snapline-core"],
    ),
    (
        "snapline-testkit",
        &[
            "snapline-runtime",
            "snapline-dataflow",
            "snapline-state",
            "snapline-state-memory",
            "snapline-connector",
            "snapline-core",
        ],
    ),
    (
        "snapline-runtime",
        &[
            "snapline-coordinator",
            "snapline-barrier",
            "snapline-dataflow",
            "snapline-connector",
            "snapline-state",
            "snapline-core",
        ],
    ),
    (
        "snapline",
        &[
            "snapline-runtime",
            "snapline-coordinator",
            "snapline-barrier",
            "snapline-dataflow",
            "snapline-connector",
            "snapline-connector-*",
            "snapline-state",
            "snapline-state-*",
            "snapline-core",
        ],
    ),
    (
        "snapline-cli",
        &[
            "snapline-coordinator",
            "snapline-state",
            "snapline-state-file",
            "snapline-state-object",
            "snapline-core",
        ],
    ),
    ("snapline-examples", &["snapline", "snapline-testkit"]),
    ("snapline-benches", &["snapline", "snapline-*"]),
    ("custom-*", &["snapline-state", "snapline-core"]),
    ("xtask", &[]),
];

/// What the tests of a crate may use besides.
const FOR_TESTS: &[(&str, &[&str])] = &[
    ("snapline-cli", &["snapline", "snapline-testkit"]),
    ("snapline-examples", &["snapline-benches"]),
    ("custom-*", &["snapline-testkit"]),
    ("*", &["snapline-testkit", "snapline-state-memory"]),
];

pub(super) fn dependencies(tree: &Tree) -> Vec<Finding> {
    tree.packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<Finding> {
    let Some(allowed) = row(ARROWS, &package.name) else {
        let message = "is a new crate: give it a row in xtask/src/tidy/arrows.rs and in ARCHITECTURE.md";
        return vec![Finding::new(&package.name, message)];
    };
    let is_ours = |dependency: &&Dependency| dependency.name.starts_with("snapline");
    let is_allowed = |dependency: &&Dependency| {
        // Tests may want all features of their own crate.
        if dependency.for_tests && dependency.name == package.name {
            return true;
        }
        let more = row(FOR_TESTS, &package.name).filter(|_| dependency.for_tests);
        let mut names = allowed.iter().chain(more.unwrap_or_default());
        names.any(|name| fits(name, &dependency.name))
    };
    let ours = package.dependencies.iter().filter(is_ours);
    ours.filter(|dependency| !is_allowed(dependency))
        .map(|dependency| {
            let message = format!("must not depend on {}; allowed: {allowed:?}", dependency.name);
            Finding::new(&package.name, message)
        })
        .collect()
}

/// The first row that fits a crate.
fn row(table: &'static [(&str, &[&str])], name: &str) -> Option<&'static [&'static str]> {
    table
        .iter()
        .find(|(pattern, _)| fits(pattern, name))
        .map(|(_, names)| *names)
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Every package takes over the lints that are said once at the root. A plugin, which has no root, does not, and
/// one that may switch off a check which they forbid has its own.
pub(super) fn inherited_lints(tree: &Tree) -> Vec<Finding> {
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    let ours = manifests.filter(|file| !file.path.starts_with(PLUGINS));
    let finding = |file: &File| {
        let is_excepted = EXCEPTIONS
            .iter()
            .any(|name| file.path == format!("crates/{name}/Cargo.toml"));
        let (lints, message) = match is_excepted {
            true => (DENIED, "add `[lints.rust]` with the keyword denied"),
            false => (
                "[lints]\nworkspace = true",
                "add `[lints]` with `workspace = true`",
            ),
        };
        (!file.text.contains(lints)).then(|| Finding::new(&file.path, message))
    };
    ours.filter_map(finding).collect()
}

/// Spelled apart, so that this file passes the rules.
const DENIED: &str = concat!("[lints.rust]\nun", "safe_code = \"deny\"");
