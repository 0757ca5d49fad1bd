//! Which channel of a task delivers next.

use snapline_core::SubtaskId;
use std::task::{Context, Poll};

/// Decides in which order, and when, the channels of a task deliver.
///
/// Without one, channels take turns and deliver at once. A simulation draws the order from a seed, so
/// that every interleaving that a real network may show is tried.
///
/// # Contract
/// * Each channel stays a FIFO: only the choice between channels is open.
/// * After `Pending` the task is woken when it is worth asking again. A channel must not wait for ever.
/// * It is asked while the task's channels are locked, so it neither blocks nor wakes anybody.
pub trait Network: Send + Sync + std::fmt::Debug + 'static {
    /// The position in `ready` of the channel that delivers next.
    ///
    /// `ready` has all channels of the task that have something to deliver and are not blocked, at
    /// least one, the one whose turn it is first. A position outside of it counts as the first.
    fn poll_turn(&self, task: &SubtaskId, ready: &[usize], cx: &mut Context<'_>) -> Poll<usize>;
}
