//! Runs other programs.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// What a program has left behind.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Both streams, stderr last.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end without input and keeps what it prints.
///
/// A command that takes longer than `limit` is killed, which is an error.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("cannot run {name}: {error}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (sender, receiver) = channel();
    if let Some(stream) = child.stdout.take() {
        collect(stream, sender.clone(), Part::Stdout);
    }
    if let Some(stream) = child.stderr.take() {
        collect(stream, sender, Part::Stderr);
    }
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for _ in 0..2 {
        let Ok((part, text)) = receiver.recv_timeout(limit) else {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Err(format!(
                "{name} was stopped because it took longer than {} s",
                limit.as_secs()
            ));
        };
        match part {
            Part::Stdout => stdout = text,
            Part::Stderr => stderr = text,
        }
    }
    let status = child.wait().map_err(failed)?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

enum Part {
    Stdout,
    Stderr,
}

fn collect(mut stream: impl Read + Send + 'static, sender: Sender<(Part, String)>, part: Part) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks off is as good as one that ends: the exit status tells the rest.
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send((part, String::from_utf8_lossy(&bytes).into_owned()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_status_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let output = capture(&mut command, Duration::from_secs(60)).unwrap();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert_eq!(
            (output.status.code(), output.text().as_str()),
            (Some(3), "out\nerr\n")
        );
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]);
        let error = capture(&mut command, Duration::from_millis(20)).err().unwrap();
        assert!(
            error.contains("tail was stopped because it took longer"),
            "{error}"
        );
    }
}
