//! Barrier alignment for Snapline: aligner, tracker and channel checks, without any IO.
//!
//! # How a barrier travels
//!
//! The coordinator asks the sources to put a *barrier* between two batches. The barrier flows with
//! the records and cuts every channel into before and after. A task with several channels sees it
//! arrive at different times:
//!
//! ```text
//!  channel 0   ... 7 6 |1 5 4 ──┐            |1 has arrived here: channel 0 is blocked, 6 and 7 wait
//!                               ├── task ──  5 and 4 are in the state, and so will be 3
//!  channel 1   ... 9 |1 3 ──────┘            |1 is still behind 3: channel 1 goes on
//!
//!  |1 arrives on channel 1:  snapshot the state  →  forward |1 on all outputs  →  unblock channel 0
//! ```
//!
//! The state then holds the effect of exactly what came before the barrier on every channel, and so
//! does that of every other task: together a consistent cut with empty channels, as if the whole
//! job had been stopped at one instant.
//!
//! Under backpressure a barrier takes long to arrive, and so long a channel is blocked. A checkpoint
//! that is *unaligned*, or has become so because it took longer than its timeout, does not wait. The
//! queued barrier is announced, overtakes the batches before it, and these are kept as *channel state*:
//!
//! ```text
//!  channel 0   ... 7 6 |1 5 4 ──┐            |1 has arrived here: the snapshot is taken at once,
//!                               ├── task ──  5 and 4 are in the state, 3 and 8 are not
//!  channel 1   ... 9 |1 3 8 ────┘            |1 is announced: what comes before it is recorded
//!
//!  |1 arrives on channel 0:  snapshot the state  →  forward |1  →  record channel 1  →  unblock channel 0
//!  8 is processed:           and kept, because |1 has not come yet on channel 1
//!  |1 overtakes 3:           3 is kept, and processed later  →  stop recording  →  complete
//! ```
//!
//! The snapshot is the state together with 8 and 3, which a restore puts back before everything else on
//! channel 1.
//!
//! # Why it is correct
//!
//! Chandy and Lamport (*Distributed Snapshots*, 1985) showed that markers on FIFO channels cut an
//! execution consistently: no message is received before the cut that was sent after it. Carbone
//! et al. (*Lightweight Asynchronous Snapshots for Distributed Dataflows*, 2015, arXiv 1506.08603)
//! showed that on acyclic dataflows blocking a channel behind its marker leaves nothing in flight
//! to record. Unaligned checkpoints (Apache Flink, FLIP-76) are Chandy and Lamport's original rule
//! again: the first marker makes a process record its own state, and then each channel up to its marker.
//!
//! The argument, for one channel whose sender puts `sent` batches on it before the barrier, and whose
//! receiver has processed `received` of them when it takes its snapshot:
//!
//! * The sender puts the barrier on the channel in the step in which it takes its own snapshot. So
//!   exactly the first `sent` batches belong to its past, and what it sends later to its future.
//! * Aligned: the receiver takes its snapshot when the barrier is there and nothing has been processed
//!   behind it, so `received == sent` and the channel is empty.
//! * Unaligned: the receiver takes its snapshot before the barrier has been delivered, so
//!   `received <= sent`. What is processed before the barrier is delivered, and what the barrier
//!   overtakes, are together the batches `received..sent`, because a channel is in order. They are
//!   recorded, each once, and nothing behind the barrier is. Whether the barrier overtakes decides only
//!   how soon the recording ends.
//! * Either way each batch is in the snapshot of the sender as sent and in that of the receiver as
//!   processed or recorded, or in neither: the cut is consistent and loses nothing. A checkpoint may
//!   choose differently at each task, and at each task by the time, and so it may be aligned at one end
//!   of a channel and unaligned at the other.
//! * A task acknowledges when all its channels are done (`Complete`), so a complete checkpoint has no
//!   channel whose state is still missing.
//!
//! All this needs channels that neither lose, repeat nor reorder. [`ChannelSender`] and
//! [`ChannelReceiver`] do not trust that but check it: per batch and per barrier. And [`ConsistentCut`]
//! does not trust the handlers: it compares `received`, `sent` and what was recorded for every channel.
//!
//! # What is here
//!
//! | | |
//! |---|---|
//! | [`BarrierHandler`] | the receiving rule of one task: events in, [`AlignmentAction`]s out |
//! | [`BarrierAligner`] | exactly once: blocks channels until all barriers are in, or has them recorded |
//! | [`BarrierTracker`] | at least once: blocks nothing and counts |
//! | [`ChannelStateRecorder`] | keeps the batches that an unaligned snapshot needs |
//! | [`LoopHead`] | either of them with a loop behind it: logs what is inside the loop at the cut |
//! | [`LoopTermination`] | when a loop is over: a checkpoint has shown it empty |
//! | [`ChannelSender`], [`ChannelReceiver`] | batch and barrier counts of the two ends of a channel |
//! | [`TaskHistory`], [`ChannelClock`], [`VectorClock`] | what a task knows of all others, and what it tells them |
//! | [`verify_aligned_cut`], [`verify_unaligned_cut`] | what a task checks before it takes a snapshot |
//! | [`ConsistentCut`] | what the coordinator checks before a checkpoint counts |
//!
//! Everything is pure: values in, decisions out. The time is an argument, and what a decision means
//! for a real channel is up to the caller, so the same code runs in production, in a simulation and
//! in a model checker.
//!
//! # What proves a cut
//!
//! A snapshot is believed only when three levels agree, each cheaper than what it guards:
//!
//! * Each batch carries its attempt, its epoch and its number. [`ChannelReceiver`] refuses what was
//!   lost, repeated or reordered, what comes from another attempt, and what was sent behind a barrier
//!   that has not come, on the spot.
//! * Each barrier carries how many batches were sent before it. All of them are in the snapshot, once:
//!   in the state, or recorded as channel state ([`ChannelReceiver::recorded_cut`] in the task,
//!   [`ChannelCut::check_exact`] on what was acknowledged).
//! * Each task keeps a vector clock. No task has seen what another one did after its cut, directly or
//!   through others; that finds a task that counts right and cuts wrong.
//!
//! [`ConsistentCut::verify`] compares the last two over all tasks before a checkpoint counts, and the same
//! function repeats the proof offline on what was stored. What contradicts has a name and says which
//! tasks, channels and batches: [`CutViolation`], [`ChannelFlaw`], [`Breach`].
//!
//! # What is not promised
//!
//! * The handlers believe their caller: an event of a channel that should be blocked is counted,
//!   not refused. [`verify_aligned_cut`] finds the resulting cut inconsistent.
//! * [`BarrierTracker`] promises no consistent cut. Records behind a barrier may be in the snapshot
//!   and come again after a restore.
//! * Liveness is the caller's: a channel that delivers neither barrier nor end holds an aligned
//!   checkpoint up until the coordinator aborts it ([`BarrierHandler::on_abort`]). An unaligned one
//!   holds nothing up, but it does not complete either.
//! * At a task only the newest checkpoint is pending. An unaligned checkpoint that still records is
//!   given up when the barrier of a newer one arrives, be it only that of a savepoint.
//! * What is recorded is not bounded here: it is what the channels hold. Bounded channels bound it.
//! * Time is only as good as the clock that the caller reads it from. A clock that is wrong makes a
//!   checkpoint unaligned early or late, never inconsistent.
//!
//! # Examples
//!
//! The picture above:
//!
//! ```
//! use snapline_barrier::{AlignmentAction, BarrierAligner, BarrierHandler, ChannelIndex, EndOfInputRule};
//! use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
//! use std::time::Duration;
//!
//! let barrier = CheckpointBarrier {
//!     checkpoint: CheckpointId(1),
//!     created: Timestamp(0),
//!     options: BarrierOptions::default(),
//! };
//! let mut aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
//! let mut actions = Vec::new();
//!
//! aligner.on_barrier(ChannelIndex(0), barrier, Timestamp(10), &mut actions);
//! assert_eq!(actions, [AlignmentAction::Block(ChannelIndex(0))]);
//!
//! actions.clear();
//! aligner.on_barrier(ChannelIndex(1), barrier, Timestamp(15), &mut actions);
//! assert_eq!(
//!     actions,
//!     [
//!         AlignmentAction::Snapshot { barrier, alignment: Duration::from_millis(5) },
//!         AlignmentAction::Complete { checkpoint: CheckpointId(1) },
//!         AlignmentAction::Unblock(ChannelIndex(0)),
//!         AlignmentAction::Unblock(ChannelIndex(1)),
//!     ]
//! );
//! ```
//!
//! A channel that loses a batch:
//!
//! ```
//! use snapline_barrier::{Breach, ChannelIndex, ChannelReceiver, ChannelSender};
//! use snapline_core::{AttemptId, CheckpointId};
//!
//! let mut sender = ChannelSender::new(AttemptId(1));
//! let mut receiver = ChannelReceiver::new(ChannelIndex(0), AttemptId(1));
//!
//! receiver.on_batch(sender.next_header())?;
//! let _lost = sender.next_header();
//! let sent = sender.on_barrier(CheckpointId(1));
//!
//! let violation = receiver.on_barrier(CheckpointId(1), sent).unwrap_err();
//! assert_eq!(
//!     violation.breach,
//!     Breach::CountMismatch { checkpoint: CheckpointId(1), sent: 2, received: 1 }
//! );
//! # Ok::<(), snapline_core::Error>(())
//! ```

mod abort;
mod aligner;
mod channel;
mod clock;
mod cut;
mod handler;
mod loop_head;
mod recorder;
mod tracker;
mod violation;

pub use aligner::BarrierAligner;
pub use channel::{ChannelReceiver, ChannelSender, verify_aligned_cut, verify_unaligned_cut};
pub use clock::{ChannelClock, TaskHistory, VectorClock};
pub use cut::{ChannelCut, ChannelFlaw, ConsistentCut, RecordedRun, TaskClock, TaskCut};
pub use handler::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason, EndOfInputRule};
pub use loop_head::{LoopHead, LoopState, LoopTermination, TaskActivity};
pub use recorder::{ChannelStateRecorder, LateRecording, RecordedChannel};
pub use tracker::BarrierTracker;
pub use violation::{Breach, CutViolation, ProtocolViolation};
