//! The checkpoint coordinator of Snapline: decisions without IO, storage layout, retention, restart.
//!
//! Two halves that do not know each other's business:
//!
//! * [`CheckpointCoordinator`] decides *when*. It is a state machine without clock, thread or
//!   storage: values in, [`CoordinatorAction`]s out, the same in production and in a simulation.
//! * [`CheckpointStore`] decides *who*. It lays checkpoints out in any
//!   [`CheckpointStorage`](snapline_state::CheckpointStorage) so that a checkpoint exists exactly
//!   once or not at all, whoever crashes and whoever believes to lead.
//!
//! [`RestartStrategy`] says whether and when a failed job starts again.
//!
//! # How a checkpoint comes to be
//!
//! ```text
//!  coordinator                        runtime                           storage
//!  TriggerSources(barrier)     ───▶   sources emit the barrier
//!                                     tasks align, freeze, persist  ──▶  checkpoint/a7-e12/state/...
//!  acknowledge(..) for each    ◀───   tasks acknowledge
//!    all there: the cut is verified
//!  Publish(manifest)           ───▶   CheckpointStore::publish      ──▶  checkpoint/a7-e12/manifest.json
//!                                                                   ──▶  epoch/12   ◀ now it exists
//!  on_published(Published)     ◀───
//!  NotifyComplete              ───▶   tasks and sources are told
//!  Commit                      ───▶   sinks commit                  ──▶  committed/12
//!  on_committed(Ok)            ◀───
//!  CollectGarbage              ───▶   CheckpointStore::collect_garbage
//! ```
//!
//! The order of the last steps is the order of the actions, with one exception: the next checkpoint
//! does not wait for the commit of the one before. Commits are made one at a time in checkpoint order,
//! and every manifest carries those that were not confirmed when it was published, so that a
//! restore of the newest checkpoint alone can finish them all.
//!
//! Several checkpoints may be under way. They are published one at a time in the order of their ids,
//! and a complete one subsumes the older ones.
//!
//! # How a savepoint comes to be
//!
//! ```text
//!  trigger(Savepoint)          ◀───   somebody asks
//!  BeginSavepoint              ───▶   CheckpointStore::register_savepoint
//!  TriggerSources, ...                as above, but tasks write into the target
//!  PublishSavepoint(manifest)  ───▶   CheckpointStore::publish_savepoint ──▶  {target}/manifest.json
//!  on_savepoint_published(Ok)  ◀───
//!  RequestDone                 ───▶   who has asked is told
//! ```
//!
//! A job that stops with a savepoint also publishes it as its newest checkpoint, between the last two
//! lines: `Publish`, `NotifyComplete`, `Commit`. Sinks commit nothing for any other savepoint.
//!
//! # How a part of a job restarts
//!
//! [`CheckpointCoordinator::on_tasks_failed`] gives up what is under way; when
//! [`CheckpointCoordinator::publishing`] is `None`, the newest completed checkpoint is known and the
//! tasks can be restored from it; [`CheckpointCoordinator::on_tasks_running`] lets checkpoints start again.
//! Tasks that have finished are not asked any more: [`CheckpointCoordinator::on_task_finished`].
//!
//! # How a job starts
//!
//! 1. [`CheckpointStore::claim_attempt`]: a number that nobody else has.
//! 2. [`CheckpointStore::take_over`], [`CheckpointStore::take_over_from`] a savepoint, or
//!    [`CheckpointStore::start_over`]: from now on no older attempt can complete a checkpoint; the answer
//!    is what to restore, and [`Restored::storage`] from where.
//!    A program that does not fit a savepoint is better refused before, with
//!    [`CheckpointStore::look_at_savepoint`].
//! 3. [`Manifest::check_compatible`], then commit [`Restored::unfinished_commits`], then
//!    [`CheckpointStore::mark_committed`].
//! 4. Tasks are restored; a [`CheckpointCoordinator`] begins after [`Restored::last_used`].
//!
//! # What can go wrong
//!
//! * The outcome of a claim is unknown: the same claim is made again until it is known. Nothing is
//!   deleted meanwhile, and no other checkpoint is published.
//! * Another process has taken over: the claim finds the name taken, and the job fails with a
//!   `Conflict`, which must not be answered by a restart.
//! * A channel has lost or repeated a batch: the counts in the acknowledgements contradict, and the
//!   checkpoint is given up before any sink commits.
//! * The newest checkpoint is damaged: the one before it is restored, and the user is told.
//!   [`verify_checkpoint`] proves offline what any stored checkpoint or savepoint is worth.
//!
//! # What is explored exhaustively
//!
//! `tests/model` runs this coordinator, the barrier handlers, the channels and the recorders of
//! `snapline-barrier` in a small job and tries every order in which messages, records, barriers, aborts, crashes and
//! storage calls can happen: two sources, two mappers and a sink, and a loop; aligned, unaligned, turning
//! unaligned, at least once. In none of them is a completed checkpoint anything but a consistent cut, is a record
//! lost or there twice (at least once: lost), does anything wait or go on for ever, or is a trigger left without an
//! answer. `tests/model/main.rs` tells the bounds and how to explore more than an ordinary run of
//! the tests does.
//!
//! # What is not promised
//!
//! State of a checkpoint that was given up may stay behind until the next garbage collection.
//!
//! The ideas are those of Carbone et al. (*Lightweight Asynchronous Snapshots for Distributed
//! Dataflows*, 2015, arXiv 1506.08603) and of Apache Flink; that the storage is both the truth and the
//! fence, so that no lock service is needed, is not.
//!
//! # Examples
//!
//! One checkpoint of a job with one task:
//!
//! ```
//! use snapline_coordinator::{
//!     Acknowledgement, CheckpointCoordinator, CheckpointHistory, CoordinatorAction, CoordinatorContext, Moment, PublishOutcome,
//!     SubtaskStatistics,
//! };
//! use snapline_barrier::TaskCut;
//! use snapline_core::{
//!     AttemptId, CheckpointId, CheckpointSettings, JobId, MaxParallelism, OperatorUid, SubtaskId, SubtaskIndex,
//!     Timestamp,
//! };
//! use std::time::Duration;
//!
//! let at = |ms| Moment { wall: Timestamp(ms), monotonic: Duration::from_millis(ms as u64) };
//! let task = SubtaskId { operator: OperatorUid::new("source")?, index: SubtaskIndex(0) };
//! let context = CoordinatorContext {
//!     job: JobId::new("example")?,
//!     attempt: AttemptId(1),
//!     max_parallelism: MaxParallelism::DEFAULT,
//!     settings: Some(CheckpointSettings::every(Duration::from_millis(100))),
//!     tasks: vec![task.clone()],
//!     operators: vec![],
//!     last_used: CheckpointId::NONE,
//!     latest_completed: None,
//!     finished: vec![],
//!     seed: None,
//!     history: CheckpointHistory::default(),
//! };
//! let mut coordinator = CheckpointCoordinator::new(context, at(0));
//! let mut actions = Vec::new();
//!
//! assert_eq!(coordinator.next_deadline(), Some(Duration::from_millis(100)));
//! coordinator.on_time(at(100), &mut actions);
//! let Some(CoordinatorAction::TriggerSources(barrier)) = actions.pop() else { panic!() };
//!
//! let ack = Acknowledgement {
//!     task,
//!     attempt: AttemptId(1),
//!     checkpoint: barrier.checkpoint,
//!     operators: vec![],
//!     cut: TaskCut::default(),
//!     statistics: SubtaskStatistics::default(),
//! };
//! coordinator.acknowledge(ack, at(110), &mut actions);
//! let Some(CoordinatorAction::Publish(manifest)) = actions.pop() else { panic!() };
//!
//! coordinator.on_published(manifest.checkpoint, Ok(PublishOutcome::Published), at(120), &mut actions);
//! assert!(matches!(actions[0], CoordinatorAction::NotifyComplete { checkpoint: CheckpointId(1), .. }));
//! # Ok::<(), snapline_core::Error>(())
//! ```

mod acknowledgement;
mod action;
mod commits;
mod coordinator;
mod document;
mod failure;
mod manifest;
mod moment;
mod pending;
mod plan;
mod random;
mod request;
mod restart;
mod retry;
mod schedule;
mod statistics;
mod store;
mod tasks;

pub use acknowledgement::{Acknowledgement, Decline, SubtaskStatistics};
pub use action::CoordinatorAction;
pub use coordinator::CheckpointCoordinator;
pub use failure::FailureReason;
pub use manifest::{Manifest, ManifestSizes, OperatorManifest, SubtaskCommit, SubtaskCut};
pub use moment::Moment;
pub use plan::{CoordinatorContext, OperatorPlan};
pub use request::RequestId;
pub use restart::RestartStrategy;
pub use statistics::{
    CheckpointHistory, CheckpointReport, CheckpointStatistics, CheckpointStatus, CheckpointSummary,
    CompletedSummary, CutEvidence, RestoreReport, Spread, SubtaskReport,
};
pub use store::{
    AttemptInfo, CheckpointProof, CheckpointStore, GarbageReport, PublishOutcome, Restored, Savepoint,
    SavepointTarget, StoredCheckpoint, Verification, copy_checkpoint, stored_jobs, verify_checkpoint,
    verify_handles,
};
