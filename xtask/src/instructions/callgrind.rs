//! Valgrind's callgrind, which counts instructions.

use crate::debian::{install, works};
use std::path::{Path, PathBuf};
use std::process::Command;

/// On which the counts are recorded.
const ARCHITECTURE: &str = "x86_64";

/// The profile is written when the run is over and before its result is checked: the check is not what is counted.
const END: &str = "--dump-before=snapline_benches::expected::*";

/// Valgrind is there.
pub(super) struct Callgrind(());

/// Whether it is.
pub(super) enum Found {
    Here(Callgrind),
    /// Why it is not.
    Missing(String),
}

/// Finds valgrind; installs it where that is a matter of course.
pub(super) fn find() -> Found {
    if std::env::consts::ARCH != ARCHITECTURE {
        let here = std::env::consts::ARCH;
        return Found::Missing(format!("they are recorded on {ARCHITECTURE}, and this is {here}"));
    }
    let is_here = || works("valgrind", &["--version"]);
    if is_here() || install(&["valgrind"]) && is_here() {
        return Found::Here(Callgrind(()));
    }
    Found::Missing("valgrind is not installed (Debian: apt-get install valgrind)".to_owned())
}

impl Callgrind {
    /// Runs a program and writes `profile.1`, and `profile` for the rest.
    pub(super) fn command(&self, program: &Path, profile: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--tool=callgrind", END])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(program);
        command
    }
}

/// How many instructions the first part of a profile has counted.
pub(super) fn instructions(profile: &Path) -> Result<u64, String> {
    let mut part = profile.as_os_str().to_owned();
    part.push(".1");
    let part = PathBuf::from(part);
    let text = std::fs::read_to_string(&part)
        .map_err(|error| format!("callgrind wrote no {}: {error}", part.display()))?;
    total(&text).ok_or_else(|| format!("{} has no line `totals:`", part.display()))
}

fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(total("events: Ir\n\nfn=(1) a\n1 7\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
