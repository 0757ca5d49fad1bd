//! Programs that are not written in Rust.

use crate::process::capture;
use std::process::Command;
use std::time::Duration;

/// Whether a program can be run so, and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    capture(&mut command, Duration::from_secs(600)).is_ok_and(|output| output.status.success())
}

/// Installs packages, but only where CI runs in a container of its own: as root, with Debian's packages.
pub(crate) fn install(packages: &[&str]) -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| owner(&process) == Some(0));
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    is_root && (works("apt-get", &install) || works("apt-get", &["update"]) && works("apt-get", &install))
}

#[cfg(unix)]
fn owner(process: &std::fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(process))
}

#[cfg(not(unix))]
fn owner(_: &std::fs::Metadata) -> Option<u32> {
    None
}
