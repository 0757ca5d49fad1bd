//! Real servers for tests, on loopback.
//!
//! A test that cannot have its server, for want of an interpreter or of the network, says so and is skipped:
//!
//! ```no_run
//! # use snapline_testkit::services::{S3, skip};
//! # fn a_test() {
//! let Ok(server) = S3::start("bucket").map_err(skip) else { return };
//! println!("{}", server.endpoint());
//! # }
//! ```

mod debian;
mod nats;
mod port;
mod postgres;
mod process;
mod s3;
mod unreliable;

pub use nats::Nats;
pub use postgres::Postgres;
pub use s3::S3;
pub use unreliable::Unreliable;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Says on standard error why a test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
pub fn skip(reason: String) {
    let test = std::thread::current();
    eprintln!("skipped {}: {reason}", test.name().unwrap_or("a test"));
}

/// Where cargo builds: programs lie in `debug` below it, tests in `debug/deps`, and examples in `debug/examples`.
fn build_folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let is_profile = |folder: &&Path| !folder.ends_with("deps") && !folder.ends_with("examples");
    let profile = program.ancestors().skip(1).find(is_profile);
    let folder = profile.and_then(Path::parent).map(Path::to_path_buf);
    folder.ok_or_else(|| format!("{} lies in no build folder", program.display()))
}

/// Where servers keep what is made once for all tests.
fn services_folder() -> Result<PathBuf, String> {
    let services = build_folder()?.join("services");
    let failed = |error| format!("cannot use {}: {error}", services.display());
    std::fs::create_dir_all(&services).map_err(failed)?;
    Ok(services)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let last = printed.trim().lines().last().unwrap_or_default();
    Err(format!("{command:?} failed: {last}"))
}
