//! The vector clock of a task, in the hands of its receiving side and of all its outputs.

use snapline_barrier::{ChannelClock, TaskClock, TaskHistory};
use snapline_core::{CheckpointMode, CheckpointSettings, ClockDelta, ConsistencyProof};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a task knows of all tasks. A clone is the same history.
///
/// All that share it run in one task, so that the lock is always free.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedHistory(Option<Arc<Mutex<TaskHistory>>>);

impl SharedHistory {
    /// The history of the task at this position among all tasks of a job.
    pub(crate) fn new(settings: Option<&CheckpointSettings>, task: u32, tasks: u32) -> Self {
        let proof = settings.map_or(ConsistencyProof::Off, |settings| match settings.mode {
            CheckpointMode::ExactlyOnce => settings.consistency_proof,
            // A snapshot that is not a cut proves nothing.
            _ => ConsistencyProof::Off,
        });
        if proof == ConsistencyProof::Off {
            return Self(None);
        }
        let history = TaskHistory::new(proof, task, tasks);
        Self(Some(Arc::new(Mutex::new(history))))
    }

    /// See [`TaskHistory::on_snapshot`].
    pub(crate) fn on_snapshot(&self) -> Option<TaskClock> {
        self.lock()?.on_snapshot()
    }

    /// See [`TaskHistory::on_send`].
    #[inline]
    pub(crate) fn on_send(&self, channel: &mut ChannelClock) -> Option<ClockDelta> {
        self.lock()?.on_send(channel)
    }

    /// See [`TaskHistory::on_receive`].
    #[inline]
    pub(crate) fn on_receive(&self, sender: u32, delta: &ClockDelta) {
        if let Some(mut history) = self.lock() {
            history.on_receive(sender, delta);
        }
    }

    #[inline]
    fn lock(&self) -> Option<MutexGuard<'_, TaskHistory>> {
        let history = self.0.as_ref()?;
        Some(history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
