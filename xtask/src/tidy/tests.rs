//! Every rule bites, and this repository keeps them all.

use super::tree::File;
use super::*;
use crate::workspace::{Dependency, Package};

fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    Tree {
        files: files.iter().map(file).collect(),
        ..Tree::default()
    }
}

fn package(name: &str, dependencies: &[&str], for_tests: bool) -> Tree {
    let dependency = |name: &&str| Dependency {
        name: (*name).to_owned(),
        for_tests,
    };
    let package = Package {
        name: name.to_owned(),
        dependencies: dependencies.iter().map(dependency).collect(),
        ..Package::default()
    };
    Tree {
        packages: vec![package],
        ..Tree::default()
    }
}

/// Checks one rule; an empty `expected` means that nothing is found.
fn check(name: &str, tree: &Tree, expected: &str) {
    let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
    let findings = (rule.check)(tree);
    let text: Vec<String> = findings
        .iter()
        .map(|f| format!("{}: {}", f.place, f.message))
        .collect();
    let text = text.join("\n");
    assert_eq!(expected.is_empty(), findings.is_empty(), "{name}: {text}");
    assert!(text.contains(expected), "{name}: {text}");
}

#[test]
fn this_repository_is_tidy() {
    if let Err(findings) = run() {
        panic!("\n{findings}");
    }
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_found() {
    let cases: [(&str, &[&str], bool, &str); 14] = [
        ("snapline-core", &["serde"], false, ""),
        (
            "snapline-core",
            &["snapline-state"],
            false,
            "snapline-core: must not depend on snapline-state",
        ),
        (
            "snapline-barrier",
            &["snapline-testkit"],
            false,
            "must not depend on snapline-testkit",
        ),
        (
            "snapline-barrier",
            &["snapline-testkit", "snapline-state-memory"],
            true,
            "",
        ),
        (
            "snapline-state-file",
            &["snapline-state", "snapline-core"],
            false,
            "",
        ),
        (
            "snapline-runtime",
            &["snapline-state-memory"],
            false,
            "must not depend on snapline-state-memory",
        ),
        (
            "snapline-examples",
            &["snapline-runtime"],
            false,
            "must not depend on snapline-runtime",
        ),
        ("snapline-examples", &["snapline-benches"], true, ""),
        ("snapline-connector-file", &["snapline-connector-file"], true, ""),
        (
            "snapline-connector-file",
            &["snapline-connector-nats"],
            true,
            "must not depend on snapline-connector-nats",
        ),
        (
            "snapline-examples",
            &["snapline-benches"],
            false,
            "must not depend on snapline-benches",
        ),
        (
            "custom-storage",
            &["snapline"],
            false,
            "custom-storage: must not depend on snapline",
        ),
        ("custom-storage", &["snapline-testkit"], true, ""),
        ("snapline-shiny", &[], false, "is a new crate"),
    ];
    for (name, dependencies, for_tests, expected) in cases {
        check("arrows", &package(name, dependencies, for_tests), expected);
    }
}

#[test]
fn each_rule_finds_what_breaks_it_and_passes_what_does_not() {
    let long = "//! long\n".repeat(601);
    let tested = format!(
        "//! short\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "// line\n".repeat(700)
    );
    let unfinished = format!("//! a\n// {}: later\n", concat!("TO", "DO"));
    let fixed = format!("//! a\n// {}S are words\n", concat!("TO", "DO"));
    let path = format!("see {}someone/notes\n", concat!("/ho", "me/"));
    let inside = format!(
        "crates{}notes and src{}\n",
        concat!("/wo", "rk/"),
        concat!("/ho", "me/")
    );
    let raw = format!("//! a\nlet x = {} {{ *p }};\n", concat!("un", "safe"));
    let told = format!("//! a\nlet x = 1; // nothing {} here\n", concat!("un", "safe"));
    let ignored = format!("//! a\n{}\n", concat!("#[", "ignore]"));
    let cases: [(&str, &str, &str, &str); 19] = [
        (
            "lints",
            "a/Cargo.toml",
            "[package]\n",
            "a/Cargo.toml: add `[lints]`",
        ),
        ("lints", "a/Cargo.toml", "[lints]\nworkspace = true\n", ""),
        (
            "lints",
            "crates/snapline-prefetch/Cargo.toml",
            "[lints]\nworkspace = true\n",
            "crates/snapline-prefetch/Cargo.toml: add `[lints.rust]`",
        ),
        (
            "crate folders",
            "crates/a/Cargo.toml",
            "name = \"b\"",
            "crates/a: must hold the package",
        ),
        ("file names", "a/src/mod.rs", "//! a", "a/src/mod.rs: is `foo.rs`"),
        (
            "file names",
            "a/src/task_manager.rs",
            "//! a",
            "has `manager` in its name",
        ),
        ("file names", "a/utils/x.rs", "//! a", "has `utils` in its name"),
        (
            "file size",
            "a/src/long.rs",
            &long,
            "a/src/long.rs: has 601 lines",
        ),
        ("file size", "a/src/tested.rs", &tested, ""),
        (
            "file head",
            "a/src/lib.rs",
            "use b;\n",
            "a/src/lib.rs: must begin with `//!`",
        ),
        (
            "declared names",
            "a/src/lib.rs",
            "//! a\npub struct JobHelper;\n",
            "lib.rs:2: `JobHelper` has `helper`",
        ),
        ("memory safety", "a/src/lib.rs", &raw, "a/src/lib.rs:2: "),
        ("memory safety", "a/src/lib.rs", &told, ""),
        (
            "ignored tests",
            "a/src/lib.rs",
            &ignored,
            "a/src/lib.rs:2: give the reason",
        ),
        (
            "ignored tests",
            "a/src/lib.rs",
            "#[ignore = \"needs a server\"]\n",
            "",
        ),
        ("unfinished work", "a/src/lib.rs", &unfinished, "a/src/lib.rs:2: "),
        ("unfinished work", "a/src/lib.rs", &fixed, ""),
        ("machine paths", "a.md", &path, "a.md:1: "),
        ("machine paths", "a.md", &inside, ""),
    ];
    for (rule, path, text, expected) in cases {
        check(rule, &tree(&[(path, text)]), expected);
    }
}

#[test]
fn a_document_that_misses_or_invents_a_crate_is_found() {
    let with = |text| tree(&[("README.md", text), ("crates/snapline-core/Cargo.toml", "")]);
    let cases = [
        ("snapline-core is here, snapline-examples too", ""),
        ("nothing", "README.md: does not mention the crate snapline-core"),
        (
            "snapline-core and snapline-magic",
            "README.md: mentions snapline-magic, which is no crate",
        ),
    ];
    for (text, expected) in cases {
        check("crate lists", &with(text), expected);
    }
}

#[test]
fn a_plugin_that_is_not_shown_as_it_is_is_found() {
    let with = |chapter: &str| {
        tree(&[
            ("crates/snapline-state/src/plugin.rs", chapter),
            (
                "examples/plugins/custom-x/Cargo.toml",
                "[package]\n\n[dependencies]\nbytes = \"1\"\n",
            ),
            (
                "examples/plugins/custom-x/tests/suite.rs",
                "//! The suite.\n\nsuite!();\n",
            ),
        ])
    };
    let whole = "//! A\n//! [dependencies]\n//! bytes = \"1\"\n//!\n//! suite!();\n";
    let cases = [
        (whole.to_owned(), ""),
        (
            whole.replace('1', "2"),
            "examples/plugins/custom-x/Cargo.toml: is not shown",
        ),
        (
            whole.replace("suite!", "other!"),
            "examples/plugins/custom-x/tests/suite.rs: is not shown",
        ),
    ];
    for (chapter, expected) in cases {
        check("plugins", &with(&chapter), expected);
    }
}

#[test]
fn a_stray_or_missing_entry_at_the_top_level_is_found() {
    let mut tree = tree(&[]);
    check("top level", &tree, "README.md: is missing");
    tree.top_level = vec![
        "notes.txt".to_owned(),
        ".editorconfig".to_owned(),
        "target".to_owned(),
    ];
    check("top level", &tree, "notes.txt: does not belong");
    let rule = RULES.iter().find(|rule| rule.name == "top level").unwrap();
    assert!(
        (rule.check)(&tree)
            .iter()
            .all(|f| f.place != ".editorconfig" && f.place != "target")
    );
}
