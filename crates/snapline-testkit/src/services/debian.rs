//! Servers that Debian has packages of.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Finds a program, and installs the package that has it when it is missing, where tests run as root with Debian's
/// packages. Other tests that want one meanwhile wait.
pub(super) fn installed(
    package: &str,
    find: impl Fn() -> Option<PathBuf>,
    lock: &Path,
) -> Result<PathBuf, String> {
    if let Some(program) = find() {
        return Ok(program);
    }
    let file = File::create(lock).map_err(|error| format!("cannot use {}: {error}", lock.display()))?;
    file.lock()
        .map_err(|error| format!("cannot lock {}: {error}", lock.display()))?;
    if let Some(program) = find() {
        return Ok(program);
    }
    if !is_root() {
        return Err(format!(
            "{package} is not installed, and only root can install it"
        ));
    }
    let install = ["install", "--yes", "--no-install-recommends", package];
    let is_done = apt(&install) || apt(&["update"]) && apt(&install);
    if !is_done {
        return Err(format!("apt-get cannot install {package}"));
    }
    find().ok_or_else(|| format!("{package} is installed, but its program is not where it should be"))
}

fn apt(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether this process may do all.
#[cfg(unix)]
pub(super) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whether this process may do all.
#[cfg(not(unix))]
pub(super) fn is_root() -> bool {
    false
}
