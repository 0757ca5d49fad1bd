//! When what starts.

use super::{CheckpointCoordinator, Life};
use crate::action::CoordinatorAction;
use crate::failure::FailureReason;
use crate::moment::Moment;
use crate::pending::PendingCheckpoint;
use crate::request::RequestId;
use snapline_core::{
    BarrierAlignment, BarrierOptions, CheckpointBarrier, CheckpointId, CheckpointKind, CheckpointMode, Error,
};
use std::time::Duration;

impl CheckpointCoordinator {
    /// Notes that a checkpoint is wanted.
    pub(super) fn enqueue(
        &mut self,
        kind: CheckpointKind,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) -> RequestId {
        let request = self.requests.next_id();
        if kind == CheckpointKind::Final {
            self.schedule.end_with_final(request, now.monotonic);
        } else if let Some(evicted) = self.requests.push(request, kind) {
            answer_error(evicted, FailureReason::TooManyRequests.to_error(kind, None), out);
        } else if kind.stops_job() {
            self.schedule.end();
        }
        if self.schedule.is_ending() {
            let never = FailureReason::JobStopping.to_error(CheckpointKind::Checkpoint, None);
            self.dismiss(|kind| !kind.is_savepoint(), &never, out);
        }
        request
    }

    /// Starts everything that is due and has room.
    pub(super) fn start_due(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        while self.life == Life::Running
            && self.tasks.are_running()
            && let Some((kind, request)) = self.next_due(now.monotonic)
        {
            self.start(kind, request, now, out);
        }
    }

    /// When something starts by itself, unless it first needs room.
    pub(super) fn next_start(&self) -> Option<Duration> {
        let can_start = self.life == Life::Running
            && self.tasks.are_running()
            && self.requests.is_empty()
            && self.has_room(CheckpointKind::Checkpoint);
        self.schedule.deadline().filter(|_| can_start)
    }

    /// A request without room holds up everything behind it.
    fn next_due(&mut self, now: Duration) -> Option<(CheckpointKind, Option<RequestId>)> {
        if let Some(kind) = self.requests.first() {
            let request = self.has_room(kind).then(|| self.requests.pop()).flatten();
            return request.map(|(request, kind)| (kind, Some(request)));
        }
        let due = self.schedule.due(now);
        due.filter(|(kind, _)| self.has_room(*kind))
    }

    /// Savepoints do not count towards the limit. But barriers that overtake batches would overtake
    /// those of savepoints, so that these take turns.
    fn has_room(&self, kind: CheckpointKind) -> bool {
        let may_overtake = self.settings.barrier_alignment().may_record();
        let collides = |pending: &PendingCheckpoint| {
            pending.is_collecting() && pending.kind().is_savepoint() != kind.is_savepoint()
        };
        if may_overtake && self.pending.values().any(collides) {
            return false;
        }
        let checkpoints = self.pending.values();
        let checkpoints = checkpoints.filter(|pending| !pending.kind().is_savepoint());
        kind.is_savepoint() || checkpoints.count() < self.settings.max_concurrent.max(1) as usize
    }

    fn start(
        &mut self,
        kind: CheckpointKind,
        request: Option<RequestId>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        self.schedule.on_start(kind, now.monotonic);
        self.last_used = self.last_used.next();
        let alignment = self.alignment(kind);
        let barrier = CheckpointBarrier {
            checkpoint: self.last_used,
            created: now.wall,
            options: BarrierOptions {
                kind,
                alignment,
                base: self.base(kind),
            },
        };
        let pending = PendingCheckpoint::new(barrier, request, &self.tasks, now.monotonic, self.timeout());
        let nobody_is_asked = pending.is_all_there();
        self.pending.insert(barrier.checkpoint, pending);
        self.history.on_triggered();
        if kind.is_savepoint()
            && let Some(request) = request
        {
            let checkpoint = barrier.checkpoint;
            out.push(CoordinatorAction::BeginSavepoint { request, checkpoint });
        }
        out.push(CoordinatorAction::TriggerSources(barrier));
        if nobody_is_asked {
            self.seal(barrier.checkpoint, now, out);
            self.publish_next(now, out);
        }
    }

    /// Savepoints are aligned without a timeout, so that they hold no channel state.
    fn alignment(&self, kind: CheckpointKind) -> BarrierAlignment {
        match self.settings.mode {
            CheckpointMode::ExactlyOnce if kind.is_savepoint() => BarrierAlignment::Aligned,
            _ => self.settings.barrier_alignment(),
        }
    }

    /// Savepoints stand for themselves, and so do checkpoints that are wanted to.
    fn base(&self, kind: CheckpointKind) -> Option<CheckpointId> {
        let is_full = kind.is_savepoint() || kind == CheckpointKind::FullCheckpoint;
        let may_refer = self.settings.incremental && !is_full;
        self.latest_completed.filter(|_| may_refer)
    }

    /// The oldest checkpoint whose files a pending or later one may refer to.
    pub fn oldest_base(&self) -> Option<CheckpointId> {
        let pending = self.pending.values();
        let bases = pending.filter_map(|pending| pending.barrier.options.base);
        bases.chain(self.latest_completed).min()
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms.max(1))
    }

    /// Answers waiting requests of these kinds, which will not start.
    pub(super) fn dismiss(
        &mut self,
        is_meant: impl Fn(CheckpointKind) -> bool,
        error: &Error,
        out: &mut Vec<CoordinatorAction>,
    ) {
        for request in self.requests.take(is_meant) {
            answer_error(request, error.clone(), out);
        }
    }
}

pub(super) fn answer_error(request: RequestId, error: Error, out: &mut Vec<CoordinatorAction>) {
    let outcome = Err(error);
    out.push(CoordinatorAction::RequestDone { request, outcome });
}
