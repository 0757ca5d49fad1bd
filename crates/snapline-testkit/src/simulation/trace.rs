//! What has happened in a run, for comparison and for people.

use super::time::Time;
use snapline_core::{AttemptId, SubtaskId};
use snapline_runtime::{JobStep, Probe, TaskStep};
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many lines of a long trace are shown: the first ones, and the last ones.
const SHOWN: (usize, usize) = (40, 260);

/// Takes note of everything. The hash tells two runs apart; lines are kept only when somebody will read
/// them.
#[derive(Debug)]
pub(crate) struct Trace {
    time: Arc<Time>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hash: Fnv,
    lines: Option<Vec<Line>>,
    /// The last step of each task, for runs that do not end.
    last: Vec<(SubtaskId, TaskStep)>,
    checkpoints: u64,
    periodic: u64,
}

#[derive(Debug)]
struct Line {
    micros: u64,
    who: String,
    what: String,
}

/// Whether the lines of a trace will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Hash,
    Lines,
}

/// How much of a trace is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    Ends,
}

impl Trace {
    pub(crate) fn new(time: Arc<Time>, detail: Detail) -> Self {
        let state = State {
            hash: Fnv::default(),
            lines: (detail == Detail::Lines).then(Vec::new),
            last: Vec::new(),
            checkpoints: 0,
            periodic: 0,
        };
        Self {
            time,
            state: Mutex::new(state),
        }
    }

    /// Notes something that only the hash needs to know.
    pub(crate) fn hash(&self, step: impl Hash) {
        let micros = self.time.micros();
        (micros, step).hash(&mut self.lock().hash);
    }

    /// Notes something that people want to read.
    pub(crate) fn note(&self, who: &str, what: impl FnOnce() -> String) {
        self.hash(who);
        let micros = self.time.micros();
        if let Some(lines) = &mut self.lock().lines {
            let (who, what) = (who.to_owned(), what());
            lines.push(Line { micros, who, what });
        }
    }

    pub(crate) fn on_task(&self, task: &SubtaskId, attempt: AttemptId, step: TaskStep) {
        self.hash((task, attempt, step));
        let mut state = self.lock();
        match state.last.iter_mut().find(|(known, _)| known == task) {
            Some((_, last)) => *last = step,
            None => state.last.push((task.clone(), step)),
        }
        drop(state);
        if is_moment(step) {
            self.note(&task.to_string(), || words(step));
        }
    }

    pub(crate) fn on_job(&self, attempt: AttemptId, step: &JobStep<'_>) {
        self.note("job", || format!("attempt {attempt} {step}"));
        let mut state = self.lock();
        match step {
            JobStep::Complete(_) => state.checkpoints += 1,
            JobStep::Trigger(barrier) if !barrier.options.kind.ends_data() => state.periodic += 1,
            _ => {}
        }
    }

    /// How many checkpoints were completed, and how many were triggered before the end of the data.
    pub(crate) fn completed(&self) -> (u64, u64) {
        let state = self.lock();
        (state.checkpoints, state.periodic)
    }

    /// Equal for equal runs.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.lock().hash.finish()
    }

    /// What each task did last.
    pub(crate) fn last_steps(&self) -> String {
        let state = self.lock();
        state.last.iter().fold(String::new(), |mut text, (task, step)| {
            let _ = write!(text, "\n  {task} last: {}", words(*step));
            text
        })
    }

    /// The lines, one for each moment: all, or those at both ends of a long trace.
    pub(crate) fn text(&self, extent: Extent) -> String {
        let state = self.lock();
        let lines = state.lines.as_deref().unwrap_or_default();
        let (first, last) = match extent {
            Extent::All => (lines.len(), 0),
            Extent::Ends => SHOWN,
        };
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            if index == first && lines.len() > first + last {
                let _ = writeln!(text, "  ... {} lines ...", lines.len() - first - last);
            }
            if index < first || index + last >= lines.len() {
                let millis = line.micros as f64 / 1000.0;
                let _ = writeln!(text, "  {millis:>9.3} ms  {:<18} {}", line.who, line.what);
            }
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a step matters to a checkpoint.
pub(crate) fn is_moment(step: TaskStep) -> bool {
    !matches!(step, TaskStep::Read | TaskStep::Batch { .. })
}

fn words(step: TaskStep) -> String {
    match step {
        TaskStep::Read => "read a batch".to_owned(),
        TaskStep::Batch { channel } => format!("batch from channel {channel}"),
        TaskStep::Barrier { channel, checkpoint } => format!("barrier {checkpoint} from channel {channel}"),
        TaskStep::CancelCheckpoint { channel, checkpoint } => {
            format!("checkpoint {checkpoint} is cancelled by channel {channel}")
        }
        TaskStep::EndOfData => "end of data".to_owned(),
        TaskStep::EndOfInput { channel } => format!("end of input from channel {channel}"),
        TaskStep::Snapshot(checkpoint) => format!("snapshot for checkpoint {checkpoint}"),
        TaskStep::Acknowledge(checkpoint) => format!("acknowledges checkpoint {checkpoint}"),
        TaskStep::Complete(checkpoint) => format!("learns that checkpoint {checkpoint} is complete"),
        TaskStep::Abort(checkpoint) => format!("learns that checkpoint {checkpoint} was given up"),
        step => format!("{step:?}"),
    }
}

/// Writes down every step, and lets tasks panic.
#[derive(Debug)]
pub(crate) struct SimProbe {
    pub(crate) trace: Arc<Trace>,
    pub(crate) fate: Arc<super::fate::Fate>,
}

impl Probe for SimProbe {
    fn on_task(&self, task: &SubtaskId, attempt: AttemptId, step: TaskStep) {
        self.trace.on_task(task, attempt, step);
        let is_moment = is_moment(step);
        if is_moment {
            self.fate.on_moment();
        }
        // A panic beside the tasks is nothing that user code can cause in this step.
        let is_in_task = !matches!(step, TaskStep::Acknowledge(_));
        if is_in_task && self.fate.panics(is_moment) {
            self.trace
                .note(&task.to_string(), || format!("PANIC before: {}", words(step)));
            // Unlike `panic!` this prints nothing.
            std::panic::resume_unwind(Box::new("the simulation injected a panic".to_owned()));
        }
    }

    fn on_job(&self, attempt: AttemptId, step: &JobStep<'_>) {
        self.trace.on_job(attempt, step);
        self.fate.on_moment();
    }
}

/// Fowler, Noll and Vo's hash, the same in every process.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
