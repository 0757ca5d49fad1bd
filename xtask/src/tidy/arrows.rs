//! Which crate may depend on which.

use super::Finding;
use super::tree::Tree;
use crate::workspace::{Dependency, Package};

/// A crate and the crates of this workspace that it may use. A name that ends in `*` stands for
/// all that begin so. The first row that fits a crate counts.
const ARROWS: &[(&str, &[&str])] = &[
    ("snapline-core", &[]),
    ("snapline-state", &["snapline-core"]),
    ("snapline-connector", &["snapline-core"]),
    (
        "snapline-dataflow",
        &["snapline-state", "snapline-connector", "snapline-core"],
    ),
    ("snapline-coordinator", &["snapline-state", "snapline-core"]),
    ("snapline-barrier", &["snapline-core"]),
    ("snapline-state-*", &["snapline-state", "snapline-core"]),
    ("snapline-connector-*", &["snapline-connector", "snapline-core"]),
    (
        "snapline-testkit",
        &["snapline-state", "snapline-connector", "snapline-core"],
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
    ("snapline-examples", &["snapline"]),
    ("snapline-benches", &["snapline", "snapline-*"]),
    ("xtask", &[]),
];

/// What the tests of every crate may use besides.
const FOR_TESTS: &[&str] = &["snapline-testkit", "snapline-state-memory"];

pub(super) fn dependencies(tree: &Tree) -> Vec<Finding> {
    tree.packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<Finding> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| fits(name, &package.name)) else {
        let message = "is a new crate: give it a row in xtask/src/tidy/arrows.rs and in ARCHITECTURE.md";
        return vec![Finding::new(&package.name, message)];
    };
    let is_ours = |dependency: &&Dependency| dependency.name.starts_with("snapline");
    let is_allowed = |dependency: &&Dependency| {
        let mut names = allowed
            .iter()
            .chain(if dependency.for_tests { FOR_TESTS } else { &[] });
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

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Every package takes over the lints that are said once at the root.
pub(super) fn inherited_lints(tree: &Tree) -> Vec<Finding> {
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .filter(|file| !file.text.contains("[lints]\nworkspace = true"))
        .map(|file| Finding::new(&file.path, "add `[lints]` with `workspace = true`"))
        .collect()
}
