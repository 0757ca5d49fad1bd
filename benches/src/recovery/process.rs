//! Processes that are killed, and the one that kills them.

use super::running::Running;
use super::{Outcome, RecoveryOptions, Start};
use serde::{Deserialize, Serialize};
use snapline_core::{CheckpointId, Clock, SystemClock};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A line that the process writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The sink has got its first records.
    FirstRecord,
    /// The state is full and was checkpointed by this process.
    Full(Full),
}

#[derive(Debug, Serialize, Deserialize)]
struct Full {
    checkpoint: Option<CheckpointId>,
    bytes: u64,
    /// The checkpoint at which the process has begun.
    restored: Option<CheckpointId>,
    records: u64,
    wrong: u64,
}

/// Runs the job in a process that is to be killed. It ends by itself when its input does, so that it does not
/// outlive who has started it.
///
/// # Errors
/// What made the job fail.
pub fn serve_recovery(options: &RecoveryOptions, start: Start) -> Result<(), Box<dyn Error>> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let running = Running::start(options, start, || say(&Line::FirstRecord))?;
    let status = running.until_full(None)?;
    let (records, wrong) = running.checked();
    say(&Line::Full(Full {
        checkpoint: status.checkpoints.latest,
        bytes: status.checkpoints.latest_bytes,
        restored: status.restored,
        records,
        wrong,
    }));
    Ok(running.run_on()?)
}

fn say(line: &Line) {
    if let Ok(mut json) = serde_json::to_string(line) {
        json.push('\n');
        // Nobody reads any more when the process is about to end.
        let _ = std::io::stdout().write_all(json.as_bytes());
    }
}

/// Kills the process each time the state is full and a new checkpoint is complete, and starts it again.
pub(super) fn kill_again_and_again(
    kills: u32,
    command: impl Fn(Start) -> Command,
) -> Result<Outcome, Box<dyn Error>> {
    let clock = SystemClock::new();
    let mut process = Process::spawn(command(Start::Fresh))?;
    let mut full = process.until_full()?;
    let mut outcome = Outcome {
        times: Vec::new(),
        records: full.records,
        state_bytes: full.bytes,
        verified: full.wrong == 0,
    };
    for _ in 0..kills {
        process.kill()?;
        let start = clock.monotonic();
        process = Process::spawn(command(Start::Resume))?;
        process.until_first_record()?;
        outcome.times.push(clock.monotonic() - start);
        outcome.state_bytes = full.bytes;
        let newest = full.checkpoint;
        full = process.until_full()?;
        outcome.records += full.records;
        outcome.verified &= full.wrong == 0 && full.restored >= newest;
    }
    process.kill()?;
    Ok(outcome)
}

struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            lines: BufReader::new(stdout),
        })
    }

    fn until_first_record(&mut self) -> Result<(), Box<dyn Error>> {
        while !matches!(self.line()?, Line::FirstRecord) {}
        Ok(())
    }

    fn until_full(&mut self) -> Result<Full, Box<dyn Error>> {
        loop {
            if let Line::Full(full) = self.line()? {
                return Ok(full);
            }
        }
    }

    fn line(&mut self) -> Result<Line, Box<dyn Error>> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(format!("the process has ended: {}", self.child.wait()?).into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// With SIGKILL; nothing is cleaned up.
    fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}
