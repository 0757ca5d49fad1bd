//! What the coordinator wants done, done.

use super::commit::commit_all;
use super::{Attempt, AttemptEnd, Outcome, STOP_PATIENCE};
use crate::task::TaskControl;
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use snapline_coordinator::{CoordinatorAction, Manifest, SubtaskCommit};
use snapline_core::{CheckpointId, CheckpointKind, Error, Result, SubtaskId};
use std::sync::Arc;
use std::time::Duration;

impl Attempt {
    /// Carries out what the coordinator wants, and what it wants because of that.
    pub(super) fn carry_out(&mut self) -> Result<()> {
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                self.cluster.probe_action(self.attempt, &action);
                self.act(action)?;
            }
        }
        if self.coordinator.lock().is_finished() && !self.is_finishing {
            self.is_finishing = true;
            match self.end {
                AttemptEnd::Finished => self.tell_sources(TaskControl::Finish),
                AttemptEnd::Suspended => self.tell_all(TaskControl::Cancel),
            }
        }
        Ok(())
    }

    fn act(&mut self, action: CoordinatorAction) -> Result<()> {
        match action {
            CoordinatorAction::TriggerSources(barrier) => {
                self.loops.on_trigger(barrier.checkpoint);
                self.growing.on_trigger(barrier.checkpoint);
                self.tell_sources(TaskControl::Trigger(barrier));
            }
            CoordinatorAction::Publish(manifest) => self.publish(manifest),
            CoordinatorAction::NotifyComplete { checkpoint, .. } => {
                self.has_checkpoint_ended = true;
                self.on_complete(checkpoint);
            }
            CoordinatorAction::NotifyAborted { checkpoint, .. } => {
                self.has_checkpoint_ended = true;
                self.publishing.remove(&checkpoint);
                self.tell_all(TaskControl::Abort(checkpoint));
            }
            CoordinatorAction::Commit { checkpoint, commits } => self.commit(checkpoint, commits),
            CoordinatorAction::Discard(handles) => {
                let store = self.store.clone();
                self.in_background(async move { store.discard(&handles).await });
            }
            CoordinatorAction::CollectGarbage => self.collect_garbage(),
            CoordinatorAction::BeginSavepoint { request, checkpoint } => {
                self.begin_savepoint(request, checkpoint);
            }
            CoordinatorAction::PublishSavepoint(manifest) => self.publish_savepoint(manifest),
            CoordinatorAction::DiscardSavepoint { checkpoint } => self.discard_savepoint(checkpoint),
            CoordinatorAction::RequestDone { request, outcome } => {
                self.has_checkpoint_ended = true;
                self.on_proof(request, &outcome);
                self.on_request_done(request, outcome);
            }
            // The job has stopped when this comes.
            CoordinatorAction::DeleteCheckpoints => {}
            CoordinatorAction::FailJob(error) => return Err(error),
        }
        Ok(())
    }

    fn on_complete(&mut self, checkpoint: CheckpointId) {
        let manifest = self.publishing.remove(&checkpoint);
        if manifest.is_some_and(|manifest| manifest.kind == CheckpointKind::Suspend) {
            self.end = AttemptEnd::Suspended;
        }
        self.growing.on_newest(self.newest.checkpoint_of_attempt());
        self.tell_all(TaskControl::Complete(checkpoint));
        self.finish_sources(checkpoint);
    }

    /// Sources whose data had ended before this checkpoint started have nothing left to do: all that
    /// they have done is in it, and with aligned barriers all that others have made of it
    /// (FLIP-147). Behind a loop that is not so before the data of the loop have ended, too. The last ones wait for the
    /// final checkpoint, and all do where records may be in flight at the cut: a sink that has not yet processed them
    /// must not end. So do those of a source that grows: as long as one reads, the first keeps what was seen.
    fn finish_sources(&mut self, complete: CheckpointId) {
        let settings = self.job.settings.checkpoints.as_ref();
        let may_record = settings.is_some_and(|settings| settings.barrier_alignment().may_record());
        if self.with_data.is_empty() || may_record {
            return;
        }
        let had_ended = |task: &SubtaskId| self.ending.get(task).is_some_and(|before| *before < complete);
        let sources = self.tasks.iter().filter(|(_, task)| task.is_source);
        for (id, source) in sources.filter(|(id, _)| !self.growing.contain(id)) {
            if had_ended(id) && self.loops.entries_behind(id).all(had_ended) {
                let _ = source.control.unbounded_send(TaskControl::Finish);
            }
        }
    }

    /// Deletes all checkpoints of a job that was cancelled and wants that, as soon as no claim is
    /// under way.
    pub(super) async fn delete_checkpoints(&mut self, outcomes: &mut mpsc::UnboundedReceiver<Outcome>) {
        let is_wanted = |action: &CoordinatorAction| matches!(action, CoordinatorAction::DeleteCheckpoints);
        if !self.actions.iter().any(is_wanted) {
            return;
        }
        let store = self.store.clone();
        let publishing = &mut self.publishing;
        let is_settled = async {
            while !publishing.is_empty() {
                if let Some(Outcome::Published(checkpoint, _)) = outcomes.next().await {
                    publishing.remove(&checkpoint);
                }
            }
            store.delete_all().await
        };
        let patience = self.cluster.executor.sleep(STOP_PATIENCE);
        let deleted = match select(Box::pin(is_settled), patience).await {
            Either::Left((deleted, _)) => deleted,
            Either::Right(_) => Err(Error::unavailable("no answer in time")),
        };
        if let Err(error) = deleted {
            tracing::warn!(%error, "the checkpoints of the cancelled job could not be deleted");
            self.shared
                .incident(format!("the checkpoints could not be deleted: {error}"));
        }
    }

    fn collect_garbage(&self) {
        let store = self.store.clone();
        let settings = self.job.settings.checkpoints.as_ref();
        let retained = settings.map_or(1, |settings| settings.retained);
        let needed = self.coordinator.lock().oldest_base();
        self.in_background(async move { store.collect_garbage_before(needed, retained).await.map(|_| ()) });
    }

    fn publish(&mut self, manifest: Arc<Manifest>) {
        let (store, checkpoint) = (self.store.clone(), manifest.checkpoint);
        self.publishing.insert(checkpoint, manifest.clone());
        self.work(async move { store.publish(&manifest).await }, move |outcome| {
            Outcome::Published(checkpoint, outcome)
        });
    }

    fn commit(&self, checkpoint: CheckpointId, commits: Arc<[SubtaskCommit]>) {
        let (store, committers) = (self.store.clone(), self.committers.clone());
        let commit = async move {
            commit_all(&mut *committers.lock().await, &commits).await?;
            store.mark_committed(checkpoint).await
        };
        self.work(commit, move |outcome| Outcome::Committed(checkpoint, outcome));
    }

    /// Lets something be done elsewhere; its outcome comes back to the attempt, at the latest after
    /// the checkpoint timeout.
    pub(super) fn work<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        outcome: impl FnOnce(Result<T>) -> Outcome + Send + 'static,
    ) {
        let outcomes = self.outcomes.clone();
        let work = self
            .bounded(work)
            .map(move |done| _ = outcomes.unbounded_send(outcome(done)));
        self.cluster.executor.spawn_io(work.boxed());
    }

    /// Gives up waiting after the checkpoint timeout; the outcome is then unknown.
    fn bounded<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let settings = self.job.settings.checkpoints.clone().unwrap_or_default();
        let patience = self
            .cluster
            .executor
            .sleep(Duration::from_millis(settings.timeout_ms));
        async move {
            match select(Box::pin(work), patience).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => Err(Error::unavailable("no answer within the checkpoint timeout")),
            }
        }
    }

    pub(super) fn in_background(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let work = work.map(|outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "old checkpoints could not be cleaned up; it will be tried again");
            }
        });
        self.cluster.executor.spawn_io(work.boxed());
    }

    pub(super) fn tell_all(&self, message: TaskControl) {
        self.tasks
            .values()
            .for_each(|task| _ = task.control.unbounded_send(message.clone()));
    }

    pub(super) fn tell_sources(&self, message: TaskControl) {
        let sources = self.tasks.values().filter(|task| task.is_source);
        sources.for_each(|task| _ = task.control.unbounded_send(message.clone()));
    }
}
