//! One task: a chain of operators, driven by what its source or its channels deliver.
//!
//! A task never waits inside a call. It is polled, does what there is to do in small portions, and
//! yields to others. Messages from the job come first, so a task can be cancelled whatever its
//! channels do.

mod chain_time;
mod cost;
mod gate_task;
mod reporter;
mod source_task;

pub(crate) use gate_task::{BackEdge, Channel, GateTask, Inputs};
pub(crate) use reporter::{Completed, Reporter, TaskReport, Work};
pub(crate) use source_task::SourceTask;

use futures::channel::mpsc;
use snapline_core::{CheckpointBarrier, CheckpointId};
use snapline_state::OperatorState;
use std::sync::Arc;

/// What the job tells a task.
#[derive(Debug, Clone)]
pub(crate) enum TaskControl {
    /// Read these splits, too. For sources only.
    AddSplits(Arc<OperatorState>),
    /// Put this barrier between two batches. For sources only.
    Trigger(CheckpointBarrier),
    /// The checkpoint was given up.
    Abort(CheckpointId),
    /// The checkpoint is complete.
    Complete(CheckpointId),
    /// Act as if all input had been read. For sources only.
    Drain,
    /// The loop that begins at this task is over: no record will come any more.
    EndLoop,
    /// Everything is committed: end. For sources only; the others follow.
    Finish,
    /// Stop at once.
    Cancel,
}

pub(crate) type ControlReceiver = mpsc::UnboundedReceiver<TaskControl>;

/// How many batches a task processes before it lets others run.
const BATCHES_PER_TURN: usize = 32;
