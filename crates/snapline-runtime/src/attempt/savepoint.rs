//! Savepoints and checkpoints that users ask for while the job runs.

use super::{Attempt, Outcome};
use crate::status::Request;
use crate::task::TaskControl;
use futures::channel::oneshot;
use snapline_coordinator::{Manifest, Moment, RequestId, SavepointTarget};
use snapline_core::{CheckpointId, CheckpointKind, Error, Result};
use snapline_dataflow::{CheckpointScope, SavepointInfo, SavepointKind, SavepointRequest};
use snapline_state::StorageKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The savepoints and checkpoints that were asked for in one attempt and are not done yet.
#[derive(Default)]
pub(super) struct Savepoints {
    requested: BTreeMap<RequestId, Wanted>,
    /// Checkpoints that somebody waits for.
    checkpoints: BTreeMap<RequestId, oneshot::Sender<Result<CheckpointId>>>,
    /// Waits for the end of all data.
    draining: Option<Wanted>,
}

/// A savepoint and who waits for it.
pub(super) struct Wanted {
    kind: CheckpointKind,
    target: SavepointTarget,
    reply: oneshot::Sender<Result<SavepointInfo>>,
}

impl Wanted {
    fn answer(self, outcome: Result<CheckpointId>) {
        let SavepointTarget { storage, path } = self.target;
        let info = outcome.map(|checkpoint| SavepointInfo::new(checkpoint, &*storage, path.as_str()));
        let _ = self.reply.send(info);
    }
}

impl Savepoints {
    /// Whether the job stops with a savepoint that is under way: no other checkpoint comes after it.
    fn stops_job(&self) -> bool {
        self.requested.values().any(|wanted| wanted.kind.stops_job())
    }

    /// Whether nothing more is read because of a savepoint.
    pub(super) fn ends_data(&self) -> bool {
        self.is_draining() || self.stops_job()
    }

    /// Whether the job ends its data because of a savepoint.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }
}

impl Attempt {
    /// For a savepoint, looks at the target first: nothing is written over.
    pub(super) fn on_request(&mut self, request: Request) {
        match request {
            Request::Savepoint(savepoint, reply) => self.on_savepoint_request(savepoint, reply),
            Request::Checkpoint(scope, reply) => self.on_checkpoint_request(scope, reply),
        }
    }

    fn on_checkpoint_request(
        &mut self,
        scope: CheckpointScope,
        reply: oneshot::Sender<Result<CheckpointId>>,
    ) {
        let kind = match scope {
            CheckpointScope::Full => CheckpointKind::FullCheckpoint,
            _ => CheckpointKind::Checkpoint,
        };
        let now = Moment::of(&*self.cluster.clock);
        let triggered = self.coordinator.lock().trigger(kind, now, &mut self.actions);
        match triggered {
            Ok(request) => _ = self.savepoints.checkpoints.insert(request, reply),
            Err(error) => _ = reply.send(Err(error)),
        }
    }

    fn on_savepoint_request(
        &mut self,
        savepoint: SavepointRequest,
        reply: oneshot::Sender<Result<SavepointInfo>>,
    ) {
        let (target, kind) = match self.target_of(savepoint) {
            Ok(target) => target,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        let (store, looked_at) = (self.store.clone(), target.clone());
        let wanted = Wanted { kind, target, reply };
        self.work(
            async move { store.prepare_savepoint(&looked_at).await },
            move |outcome| Outcome::Looked(wanted, outcome),
        );
    }

    fn target_of(&self, request: SavepointRequest) -> Result<(SavepointTarget, CheckpointKind)> {
        let kind = match request.kind {
            SavepointKind::GoOn => CheckpointKind::Savepoint,
            SavepointKind::Suspend => CheckpointKind::Suspend,
            SavepointKind::Drain => CheckpointKind::Drain,
            _ => return Err(Error::unsupported("this kind of savepoint is not known")),
        };
        let path = StorageKey::new(request.path)?;
        let storage = request
            .storage
            .unwrap_or_else(|| self.job.components.storage.clone());
        Ok((SavepointTarget { storage, path }, kind))
    }

    /// The target is free: the savepoint starts, or the end of all data on which it waits.
    pub(super) fn on_looked(&mut self, wanted: Wanted, outcome: Result<()>) {
        if let Err(error) = outcome {
            return wanted.answer(Err(error));
        }
        match wanted.kind {
            CheckpointKind::Drain if self.savepoints.is_draining() || self.with_data.is_empty() => {
                wanted.answer(Err(Error::unavailable("the job is about to end already")));
            }
            CheckpointKind::Drain => {
                self.savepoints.draining = Some(wanted);
                self.tell_sources(TaskControl::Drain);
            }
            _ => self.start_savepoint(wanted),
        }
    }

    fn start_savepoint(&mut self, wanted: Wanted) {
        let now = Moment::of(&*self.cluster.clock);
        let triggered = self
            .coordinator
            .lock()
            .trigger(wanted.kind, now, &mut self.actions);
        match triggered {
            Ok(request) => _ = self.savepoints.requested.insert(request, wanted),
            Err(error) => wanted.answer(Err(error)),
        }
    }

    /// All data has ended: the last checkpoint, which may be a savepoint.
    pub(super) fn on_all_data_ended(&mut self) -> Result<()> {
        if let Some(wanted) = self.savepoints.draining.take() {
            self.start_savepoint(wanted);
            return Ok(());
        }
        if self.savepoints.stops_job() {
            return Ok(());
        }
        let now = Moment::of(&*self.cluster.clock);
        let triggered = self
            .coordinator
            .lock()
            .trigger(CheckpointKind::Final, now, &mut self.actions);
        triggered.map(|_| ())
    }

    /// From now on the state of this checkpoint goes to the target.
    pub(super) fn begin_savepoint(&mut self, request: RequestId, checkpoint: CheckpointId) {
        if let Some(wanted) = self.savepoints.requested.get(&request) {
            self.store
                .register_savepoint(self.attempt, checkpoint, wanted.target.clone());
        }
    }

    pub(super) fn publish_savepoint(&self, manifest: Arc<Manifest>) {
        let (store, checkpoint) = (self.store.clone(), manifest.checkpoint);
        self.work(
            async move { store.publish_savepoint(&manifest).await },
            move |outcome| Outcome::SavepointPublished(checkpoint, outcome),
        );
    }

    pub(super) fn discard_savepoint(&self, checkpoint: CheckpointId) {
        let (store, attempt) = (self.store.clone(), self.attempt);
        self.in_background(async move { store.discard_savepoint(attempt, checkpoint).await });
    }

    pub(super) fn on_request_done(&mut self, request: RequestId, outcome: Result<Arc<Manifest>>) {
        if let Some(wanted) = self.savepoints.requested.remove(&request) {
            wanted.answer(outcome.map(|manifest| manifest.checkpoint));
        } else if let Some(reply) = self.savepoints.checkpoints.remove(&request) {
            let _ = reply.send(outcome.map(|manifest| manifest.checkpoint));
        }
    }
}
