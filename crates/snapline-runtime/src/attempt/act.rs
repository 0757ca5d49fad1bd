//! What the coordinator wants done, done.

use super::commit::commit_all;
use super::{Attempt, Outcome};
use crate::task::TaskControl;
use futures::FutureExt;
use futures::future::{Either, select};
use snapline_coordinator::{CoordinatorAction, Manifest, SubtaskCommit};
use snapline_core::{CheckpointId, Error, Result};
use std::sync::Arc;
use std::time::Duration;

impl Attempt {
    pub(super) fn carry_out(&mut self) -> Result<()> {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.cluster.probe_action(self.attempt, &action);
            match action {
                CoordinatorAction::TriggerSources(barrier) => {
                    self.tell_sources(TaskControl::Trigger(barrier))
                }
                CoordinatorAction::Publish(manifest) => self.publish(manifest),
                CoordinatorAction::NotifyComplete { checkpoint, .. } => {
                    self.tell_all(TaskControl::Complete(checkpoint))
                }
                CoordinatorAction::NotifyAborted { checkpoint, .. } => {
                    self.tell_all(TaskControl::Abort(checkpoint));
                    self.on_statistics();
                }
                CoordinatorAction::Commit { checkpoint, commits } => self.commit(checkpoint, commits),
                CoordinatorAction::Discard(handles) => {
                    let store = self.store.clone();
                    self.in_background(async move { store.discard(&handles).await });
                }
                CoordinatorAction::CollectGarbage => {
                    let store = self.store.clone();
                    let retained = self
                        .job
                        .settings
                        .checkpoints
                        .as_ref()
                        .map_or(1, |settings| settings.retained);
                    self.in_background(async move { store.collect_garbage(retained).await.map(|_| ()) });
                }
                CoordinatorAction::BeginSavepoint { .. }
                | CoordinatorAction::PublishSavepoint(_)
                | CoordinatorAction::DiscardSavepoint { .. }
                | CoordinatorAction::RequestDone { .. }
                | CoordinatorAction::DeleteCheckpoints => {}
                CoordinatorAction::FailJob(error) => return Err(error),
            }
        }
        self.actions = actions;
        if self.coordinator.is_finished() && !self.is_finishing {
            self.is_finishing = true;
            self.tell_sources(TaskControl::Finish);
        }
        Ok(())
    }

    fn publish(&self, manifest: Arc<Manifest>) {
        let (store, outcomes) = (self.store.clone(), self.outcomes.clone());
        let checkpoint = manifest.checkpoint;
        let publish = self.bounded(async move { store.publish(&manifest).await });
        let publish = publish.map(move |outcome| {
            let _ = outcomes.unbounded_send(Outcome::Published(checkpoint, outcome));
        });
        self.cluster.executor.spawn_io(publish.boxed());
    }

    fn commit(&self, checkpoint: CheckpointId, commits: Arc<[SubtaskCommit]>) {
        let (store, outcomes, committers) =
            (self.store.clone(), self.outcomes.clone(), self.committers.clone());
        let commit = self.bounded(async move {
            commit_all(&mut *committers.lock().await, &commits).await?;
            store.mark_committed(checkpoint).await
        });
        let commit = commit.map(move |outcome| {
            let _ = outcomes.unbounded_send(Outcome::Committed(checkpoint, outcome));
        });
        self.cluster.executor.spawn_io(commit.boxed());
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

    fn in_background(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let work = work.map(|outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "old checkpoints could not be cleaned up; it will be tried again");
            }
        });
        self.cluster.executor.spawn_io(work.boxed());
    }

    pub(super) fn tell_all(&self, message: TaskControl) {
        self.tasks
            .iter()
            .for_each(|(_, _, control)| _ = control.unbounded_send(message));
    }

    fn tell_sources(&self, message: TaskControl) {
        let sources = self.tasks.iter().filter(|(_, is_source, _)| *is_source);
        sources.for_each(|(_, _, control)| _ = control.unbounded_send(message));
    }
}
