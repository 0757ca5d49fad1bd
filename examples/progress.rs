//! Shows on standard error how a job is doing: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use snapline::Result;
use snapline::dataflow::{JobHandle, JobResult, JobState, JobStatus};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the job is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// After how many looks there is a line.
const LOOKS_PER_LINE: u64 = 50;

/// What is shown.
pub(crate) struct Progress {
    display: Display,
    start_told: bool,
    incidents_told: usize,
    looks: u64,
}

enum Display {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// A bar if standard error is a terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        let display = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Display::Nothing,
            (false, false) => Display::Lines,
            (false, true) => Display::Bar(bar()),
        };
        Self {
            display,
            start_told: false,
            incidents_told: 0,
            looks: 0,
        }
    }

    /// Shows how the job is doing until it ends.
    pub(crate) async fn follow(mut self, job: &JobHandle) -> Result<()> {
        let mut tick = tokio::time::interval(PERIOD);
        let wait = job.wait();
        tokio::pin!(wait);
        let result: Result<JobResult> = loop {
            tokio::select! {
                result = &mut wait => break result,
                _ = tick.tick() => self.show(&job.status()),
            }
        };
        let status = job.status();
        self.tell_news(&status);
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
        if result.is_ok() {
            self.say(&end(&status));
        }
        result.map(|_| ())
    }

    fn show(&mut self, status: &JobStatus) {
        self.tell_news(status);
        self.looks += 1;
        match &self.display {
            Display::Nothing => {}
            Display::Lines if !self.looks.is_multiple_of(LOOKS_PER_LINE) => {}
            Display::Lines if status.state == JobState::Starting => {}
            Display::Lines => self.say(&summary(status)),
            Display::Bar(bar) => {
                let (done, total) = status.progress.unwrap_or_default();
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(summary(status));
            }
        }
    }

    /// Tells each thing once: where the job has started, and what went wrong on the way.
    fn tell_news(&mut self, status: &JobStatus) {
        if !self.start_told
            && let Some(start) = start(status)
        {
            self.start_told = true;
            self.say(&start);
        }
        for incident in status.incidents.iter().skip(self.incidents_told) {
            self.say(incident);
        }
        self.incidents_told = status.incidents.len();
    }

    #[allow(clippy::print_stderr, reason = "this is what progress is for")]
    fn say(&self, line: &str) {
        match &self.display {
            Display::Nothing => {}
            Display::Lines => eprintln!("{line}"),
            Display::Bar(bar) => bar.println(line),
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Where the job has started, once that is known: a job that fails before it runs may have checkpoints.
fn start(status: &JobStatus) -> Option<String> {
    match (status.restored, status.state) {
        (Some(checkpoint), _) => Some(format!("resumed from checkpoint {checkpoint}")),
        (None, JobState::Running | JobState::Finished) => {
            Some("no checkpoint, starting at the beginning".to_owned())
        }
        (None, _) => None,
    }
}

/// A job that takes no checkpoint of its own has found the last one of a job that was finished.
fn end(status: &JobStatus) -> String {
    match (status.restored, status.checkpoints.latest) {
        (Some(_), None) => "finished already: everything was counted before, --fresh counts again".to_owned(),
        _ => format!("finished: {}", summary(status)),
    }
}

fn summary(status: &JobStatus) -> String {
    let checkpoints = status.checkpoints;
    let records = format!("{} lines", status.records);
    match checkpoints.latest {
        Some(latest) => {
            let ms = checkpoints.latest_duration.as_millis();
            format!(
                "{records}, checkpoint {latest} ({} kB in {ms} ms)",
                checkpoints.latest_bytes / 1000
            )
        }
        None => records,
    }
}
