//! `cargo xtask plugins`: builds and tests what stands for the packages of others.
//!
//! Each is a workspace of its own. It gets the versions of this repository, so that nothing has to be fetched, and its
//! target folder and profile, so that what both need is built once.

use crate::ci::judge;
use crate::process::capture;
use crate::workspace::{cargo, plugins, root};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A plugin that hangs is stopped after this long, its build included.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What cargo has to do in the folder of each plugin.
const STEPS: &[&[&str]] = &[
    &["fmt", "--check"],
    &["clippy", "--all-targets", "--", "-D", "warnings"],
    &["test"],
];

pub(crate) fn run() -> Result<String, String> {
    let mut report = String::new();
    for folder in plugins()? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        report += &format!("\n{name}{}", check(&folder)?);
    }
    Ok(report)
}

fn check(folder: &Path) -> Result<String, String> {
    let lock = folder.join("Cargo.lock");
    fs::copy(root().join("Cargo.lock"), &lock)
        .map_err(|error| format!("cannot write {}: {error}", lock.display()))?;
    let mut report = String::new();
    for arguments in STEPS {
        let mut command = cargo();
        command
            .args(*arguments)
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", root().join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        let output = capture(&mut command, LIMIT)?;
        report += &judge(arguments, &output).map_err(|text| format!("in {}: {text}", folder.display()))?;
    }
    Ok(report)
}
