//! `cargo xtask deep`: the tests of object storage on servers that take too long to install, or to build, for CI.
//!
//! Ceph's radosgw checks signatures and decides racing creates exactly once: all tests of S3 run on it. s3s-fs lets several
//! racing creators win: it has to be refused, and to serve a single writer.

mod radosgw;
mod s3s;

use crate::ci::{CLOUDS, judge};
use crate::process::capture;
use crate::workspace::{cargo, root};
use clap::Args;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A build, an installation or a run of tests that hangs is stopped after this long.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Which servers.
#[derive(Args)]
pub(crate) struct Options {
    /// The servers: radosgw, s3s-fs; both when none is given.
    #[arg(value_parser = ["radosgw", "s3s-fs"])]
    servers: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let runs: [(&str, fn() -> Result<String, String>); 2] = [("radosgw", on_radosgw), ("s3s-fs", on_s3s)];
    let is_wanted =
        |name: &str| options.servers.is_empty() || options.servers.iter().any(|wanted| wanted == name);
    let (mut report, mut failed) = (String::new(), Vec::new());
    for (name, run) in runs.into_iter().filter(|(name, _)| is_wanted(name)) {
        match run() {
            Ok(said) => report += &format!("{name}: ok{said}\n"),
            Err(reason) => failed.push(format!("{name}: {reason}")),
        }
    }
    match failed.is_empty() {
        true => Ok(report.trim_end().to_owned()),
        false => Err(format!("{report}{}", failed.join("\n"))),
    }
}

fn on_radosgw() -> Result<String, String> {
    let server = radosgw::start()?;
    test(&[], &server.variables())
}

fn on_s3s() -> Result<String, String> {
    let server = s3s::start()?;
    test(&["unfit"], &server.variables())
}

/// Runs the tests of S3 whose names have this in them.
fn test(names: &[&str], variables: &[(&str, String)]) -> Result<String, String> {
    let packages = [
        "snapline-state-object",
        "snapline-connector-object",
        "snapline",
        "snapline-cli",
    ]
    .map(|name| format!("--package={name}"));
    let mut command = cargo();
    command
        .arg("test")
        .args(packages)
        .args([CLOUDS, "--test=s3", "--no-fail-fast", "--", "--nocapture"])
        .args(names)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    judge(&["test", CLOUDS, "--test=s3"], &capture(&mut command, LIMIT)?)
}

/// A folder that nobody else uses, empty.
fn fresh_folder(name: &str) -> Result<PathBuf, String> {
    let folder = root()
        .join("target/services")
        .join(format!("{name}-{}", std::process::id()));
    let failed = |error| format!("cannot create {}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    Ok(folder)
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| format!("there is no free port: {error}"))?;
    Ok(address.port())
}

/// Processes and their folder, which end with this value.
struct Server {
    processes: Vec<Child>,
    folder: PathBuf,
}

impl Server {
    fn in_folder(folder: PathBuf) -> Self {
        Self {
            processes: Vec::new(),
            folder,
        }
    }

    /// Starts a process that runs until the server ends.
    fn start(&mut self, command: &mut Command) -> Result<(), String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.processes
            .push(child.map_err(|error| format!("cannot start {name}: {error}"))?);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a program to its end.
fn done(command: &mut Command) -> Result<(), String> {
    let output = capture(command, LIMIT)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed: {}", output.text().trim())),
    }
}
