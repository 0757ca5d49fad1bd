//! Runs `wordcount` as a program, with its folders.

use super::Checkpoints;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any run here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A command line of `wordcount` that can be run again and again.
pub(crate) struct Program {
    folder: TempDir,
    arguments: Vec<String>,
}

/// One run of it.
pub(crate) struct Running {
    child: Child,
    stderr: Option<JoinHandle<String>>,
    stdout: Option<JoinHandle<String>>,
    deadline: Instant,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` when it was killed.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said.
    pub(crate) stderr: String,
}

impl Program {
    /// `wordcount` with an input, an output and a checkpoint folder of its own, and these arguments
    /// besides. The input does not exist yet.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut all = vec![
            "--input".to_owned(),
            path("input.txt"),
            "--output".to_owned(),
            path("output"),
        ];
        all.extend(["--checkpoint-dir".to_owned(), path("checkpoints")]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self {
            folder,
            arguments: all,
        }
    }

    /// The same folders, other arguments besides.
    #[must_use]
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.truncate(6);
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The same folders and arguments, another input.
    #[must_use]
    pub(crate) fn reading(mut self, input: &Path) -> Self {
        self.arguments[1] = input.to_str().unwrap().to_owned();
        self
    }

    /// Where the text goes.
    pub(crate) fn input(&self) -> PathBuf {
        self.folder.path().join("input.txt")
    }

    /// Where results appear.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// Where checkpoints are.
    pub(crate) fn checkpoint_folder(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    /// What is seen of them.
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::in_folder(&self.checkpoint_folder())
    }

    /// A folder for other things.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Running {
        start(&self.arguments)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Ended {
        self.start().end()
    }
}

/// Starts `wordcount` with nothing but these arguments.
pub(crate) fn start(arguments: &[impl AsRef<OsStr>]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wordcount"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().map(reader);
    let stdout = child.stdout.take().map(reader);
    #[expect(clippy::disallowed_methods, reason = "another process takes real time")]
    let deadline = Instant::now() + PATIENCE;
    Running {
        child,
        stderr,
        stdout,
        deadline,
    }
}

fn reader(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    /// Waits until `condition` holds; `false` when the program ended before that.
    pub(crate) fn until(&mut self, mut condition: impl FnMut() -> bool) -> bool {
        while !condition() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            self.check_patience();
            std::thread::yield_now();
        }
        true
    }

    /// Kills it: SIGKILL, nothing is cleaned up.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.collect()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.until(|| false);
        self.collect()
    }

    fn collect(&mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        let text = |stream: Option<JoinHandle<String>>| stream.map(|s| s.join().unwrap()).unwrap_or_default();
        Ended {
            code,
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "another process takes real time")]
    fn check_patience(&mut self) {
        if Instant::now() > self.deadline {
            self.child.kill().unwrap();
            panic!("wordcount hangs: {:?}", self.collect());
        }
    }
}

impl Ended {
    /// It ended well.
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
    }

    /// It failed with this exit code and a message with all of these parts.
    #[track_caller]
    pub(crate) fn assert_failure(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing in {self:?}");
        }
    }
}

impl Drop for Running {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
