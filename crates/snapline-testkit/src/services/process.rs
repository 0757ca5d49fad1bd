//! A server that ends with this process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The server ends with this process, however that ends: then the shell's standard input is at its end. Unless it is
/// told to keep them, the files go too.
const PROGRAM: &str = r#"
signal=$1 data=$2; shift 2
"$@" &
read -r word
kill "-$signal" $!
wait $!
[ "$word" = keep ] || rm -rf "$data"
"#;

const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The files of the server when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Keep,
    Remove,
}

/// A program that runs in the foreground.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    shell: Child,
}

/// The command that runs a server in the folder of its files, to which its arguments are still to be added. It is ended by
/// this signal.
pub(super) fn server(program: impl AsRef<OsStr>, signal: &str, data: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", PROGRAM, "sh", signal])
        .arg(data)
        .arg(program)
        .current_dir(data);
    command
}

impl Process {
    /// Starts a server and waits until it prints that it is ready.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        ready: &'static str,
    ) -> Result<Self, String> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut shell = command
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let printed = shell.stderr.take();
        let process = Self { name, shell };
        let printed = printed.ok_or_else(|| format!("{name} prints nothing"))?;
        wait_until_ready(name, printed, ready)?;
        Ok(process)
    }

    pub(super) fn end(mut self, files: Files) -> Result<(), String> {
        self.stop(files)
            .map_err(|error| format!("{} does not end: {error}", self.name))
    }

    fn stop(&mut self, files: Files) -> std::io::Result<()> {
        if let Some(mut input) = self.shell.stdin.take() {
            let word = match files {
                Files::Keep => "keep",
                Files::Remove => "",
            };
            let _ = writeln!(input, "{word}");
        }
        self.shell.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop(Files::Remove);
    }
}

/// Reads what the server prints until it is ready, and lets it print on.
fn wait_until_ready(name: &'static str, printed: ChildStderr, ready: &'static str) -> Result<(), String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            if line.contains(ready) {
                let _ = sender.send(Ok(()));
            }
            last = line;
        }
        let _ = sender.send(Err(format!("{name} has ended: {last}")));
    });
    let ready = receiver.recv_timeout(STARTS_WITHIN);
    ready.unwrap_or_else(|_| {
        let seconds = STARTS_WITHIN.as_secs();
        Err(format!("{name} did not start within {seconds} s"))
    })
}
