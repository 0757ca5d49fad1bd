//! What the coordinator is told, and what becomes of what it wants.

use crate::desk::Desk;
use crate::flaw::Flaw;
use crate::job::{Role, Told};
use crate::outside::{Image, committed_by, transactions};
use crate::promise::{Outcome, Promise};
use crate::sent::Sent;
use crate::task::Control;
use crate::world::{Storage, World};
use snapline_barrier::DeclineReason;
use snapline_coordinator::{
    Acknowledgement, CoordinatorAction, Decline, FailureReason, Moment, PublishOutcome,
};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, Error, SubtaskId, Timestamp};
use std::time::Duration;

impl World {
    pub(crate) fn trigger(&mut self) -> Outcome {
        self.note(|_| "a checkpoint is asked for".to_owned());
        self.outside.triggers -= 1;
        self.desk.triggered = Some(self.now);
        let before = self.desk.started;
        self.tell_coordinator(|desk, now, out| {
            let request = desk.coordinator.0.trigger(CheckpointKind::Checkpoint, now, out);
            let request =
                request.map_err(|error| Promise::EveryTriggerEnds.broken(format!("refused: {error}")))?;
            desk.requests.insert(request);
            Ok(())
        })?;
        if self.desk.started == before {
            return Err(Promise::EveryTriggerEnds.broken("there is room for a checkpoint, and none starts"));
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self) -> Outcome {
        self.note(|_| "the coordinator gives up what it waits for".to_owned());
        self.outside.aborts -= 1;
        self.tell_coordinator(|desk, now, out| {
            desk.coordinator.0.abort_pending(FailureReason::Expired, now, out);
            Ok(())
        })
    }

    pub(crate) fn acknowledge(&mut self, checkpoint: CheckpointId, task: Option<usize>) -> Outcome {
        self.note(|_| format!("acknowledgements of {checkpoint} reach the coordinator"));
        let Some(on_wire) = self.desk.wire.get_mut(&checkpoint) else {
            return Ok(());
        };
        let sent: Vec<(usize, Sent)> = match task {
            Some(task) => on_wire
                .remove(&task)
                .map(|sent| (task, sent))
                .into_iter()
                .collect(),
            None => std::mem::take(on_wire).into_iter().collect(),
        };
        let ack = |(task, sent): (usize, Sent)| sent.acknowledge(self.job.id(task), self.attempt, checkpoint);
        let acks: Vec<Acknowledgement> = sent.into_iter().map(ack).collect();
        self.desk.wire.retain(|_, acks| !acks.is_empty());
        self.tell_coordinator(|desk, now, out| {
            for ack in acks {
                desk.coordinator.0.acknowledge(ack, now, out);
            }
            Ok(())
        })
    }

    pub(crate) fn decline(&mut self, position: usize) -> Outcome {
        let (task, checkpoint, reason) = self.desk.declines.remove(position);
        self.note(|job| {
            format!(
                "the coordinator hears that {} declines {checkpoint}",
                job.id(task)
            )
        });
        let decline = declined(self.job.id(task), self.attempt, checkpoint, reason);
        self.tell_coordinator(|desk, now, out| {
            desk.coordinator.0.decline(decline, now, out);
            Ok(())
        })
    }

    pub(crate) fn publish(&mut self, storage: Storage) -> Outcome {
        let Some(manifest) = self.desk.publish.take() else {
            return Ok(());
        };
        let checkpoint = manifest.checkpoint;
        self.note(|_| format!("publishing {checkpoint}: {storage:?}"));
        if storage != Storage::Done {
            self.outside.faults -= 1;
        }
        if matches!(storage, Storage::Done | Storage::LostAnswer) {
            self.store(&manifest)?;
        }
        let outcome = match storage {
            Storage::Done => Ok(PublishOutcome::Published),
            Storage::LostAnswer | Storage::LostCall => Err(Error::unavailable("no answer")),
            Storage::Refused => Ok(PublishOutcome::NotStored {
                reason: "refused".to_owned(),
            }),
        };
        self.tell_coordinator(|desk, now, out| {
            desk.coordinator.0.on_published(checkpoint, outcome, now, out);
            Ok(())
        })
    }

    pub(crate) fn commit(&mut self) -> Outcome {
        let Some((checkpoint, commits)) = self.desk.commit.take() else {
            return Ok(());
        };
        let commits = transactions(&commits);
        self.note(|_| format!("the sinks commit {checkpoint}: {}", committed_by(&commits)));
        self.commit_all(&commits)?;
        self.outside.committed = Some(checkpoint);
        self.tell_coordinator(|desk, now, out| {
            desk.coordinator.0.on_committed(checkpoint, Ok(()), now, out);
            Ok(())
        })
    }

    pub(crate) fn retry(&mut self) -> Outcome {
        self.note(|_| "the coordinator tries again".to_owned());
        self.tell_coordinator(|desk, _, out| {
            desk.clock = desk.retry.take().unwrap_or(desk.clock);
            let now = Moment {
                wall: Timestamp(0),
                monotonic: desk.clock,
            };
            desk.coordinator.0.on_time(now, out);
            Ok(())
        })
    }

    pub(crate) fn send_acknowledgement(&mut self, index: usize, checkpoint: CheckpointId, sent: Sent) {
        if self.job.flaw != Some(Flaw::LoseAcknowledgement(index)) {
            self.desk.wire.entry(checkpoint).or_default().insert(index, sent);
        }
    }

    /// What reaches the coordinator about a checkpoint that is over changes nothing, whenever it comes.
    pub(crate) fn drop_late(&mut self) -> Outcome {
        let desk = &self.desk;
        let is_over = |checkpoint: &CheckpointId| !desk.live.contains(checkpoint);
        let acks = desk.wire.keys().any(is_over);
        let declines = desk.declines.iter().any(|(_, checkpoint, _)| is_over(checkpoint));
        if !acks && !declines {
            return Ok(());
        }
        let (job, attempt) = (self.job.clone(), self.attempt);
        let desk = &mut *self.desk;
        let (live, mut out) = (desk.live.clone(), Vec::new());
        let at = Moment {
            wall: self.now,
            monotonic: desk.clock,
        };
        let acks = desk
            .wire
            .extract_if(.., |checkpoint, _| !live.contains(checkpoint));
        for (checkpoint, acks) in acks {
            for (task, sent) in acks {
                let ack = sent.acknowledge(job.id(task), attempt, checkpoint);
                desk.coordinator.0.acknowledge(ack, at, &mut out);
            }
        }
        let declines = desk
            .declines
            .extract_if(.., |(_, checkpoint, _)| !live.contains(checkpoint));
        for (task, checkpoint, reason) in declines {
            let decline = declined(job.id(task), attempt, checkpoint, reason);
            desk.coordinator.0.decline(decline, at, &mut out);
        }
        match &out[..] {
            [] => Ok(()),
            [action, ..] => Err(Promise::Protocol.broken(format!("what comes too late leads to {action:?}"))),
        }
    }

    /// Lets the coordinator take something in, and carries out what it wants.
    fn tell_coordinator(
        &mut self,
        what: impl FnOnce(&mut Desk, Moment, &mut Vec<CoordinatorAction>) -> Outcome,
    ) -> Outcome {
        let mut actions = Vec::new();
        let desk = &mut *self.desk;
        let now = Moment {
            wall: self.now,
            monotonic: desk.clock,
        };
        what(desk, now, &mut actions)?;
        for action in actions {
            self.obey(action)?;
        }
        let desk = &mut *self.desk;
        // Everything else that it waits for is hours away.
        let next = desk.coordinator.0.next_deadline();
        desk.retry = next.filter(|at| *at < Duration::from_secs(60));
        Ok(())
    }

    fn obey(&mut self, action: CoordinatorAction) -> Outcome {
        match action {
            CoordinatorAction::TriggerSources(barrier) => {
                self.note(|_| format!("    the coordinator starts checkpoint {}", barrier.checkpoint));
                self.desk.live.insert(barrier.checkpoint);
                self.desk.started = barrier.checkpoint;
                for source in self.job.clone().sources() {
                    self.tasks[source].control.push_back(Control::Trigger(barrier));
                }
            }
            CoordinatorAction::Publish(manifest) => {
                self.note(|_| format!("    the coordinator publishes {}", manifest.checkpoint));
                self.check_cut(&Image::of(&self.job, &manifest), manifest.checkpoint)?;
                if self.job.flaw == Some(Flaw::CommitBeforeClaim) {
                    self.desk.commit = Some((manifest.checkpoint, manifest.own_commits().into()));
                }
                self.desk.publish = Some(manifest);
            }
            CoordinatorAction::NotifyComplete { checkpoint, .. } => {
                self.note(|_| format!("    the coordinator completes {checkpoint}"));
                self.desk.live.remove(&checkpoint);
                for index in 0..self.tasks.len() {
                    if self.job.tasks[index].role == Role::Sink {
                        self.tasks[index].control.push_back(Control::Complete(checkpoint));
                    }
                }
            }
            CoordinatorAction::NotifyAborted { checkpoint, .. } => {
                self.note(|_| format!("    the coordinator gives {checkpoint} up"));
                self.desk.live.remove(&checkpoint);
                self.check_violations()?;
                for index in 0..self.tasks.len() {
                    let is_told = self.job.told == Told::Everybody || self.job.told == Told::Only(index);
                    if is_told && self.job.tasks[index].role != Role::Source {
                        self.tasks[index].control.push_back(Control::Abort(checkpoint));
                    }
                }
            }
            CoordinatorAction::Commit { checkpoint, commits } => {
                self.desk.commit = Some((checkpoint, commits))
            }
            CoordinatorAction::RequestDone { request, outcome } => {
                if !self.desk.requests.remove(&request) {
                    return Err(Promise::EveryTriggerEnds.broken("a request is answered twice"));
                }
                if let Ok(manifest) = outcome
                    && self.outside.newest_checkpoint() < Some(manifest.checkpoint)
                {
                    return Err(Promise::EveryTriggerEnds.broken(format!(
                        "{} is said to be complete and is not stored",
                        manifest.checkpoint
                    )));
                }
            }
            CoordinatorAction::FailJob(error) => {
                return Err(Promise::Protocol.broken(format!("the job fails: {error}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn check_violations(&self) -> Outcome {
        let now = Moment {
            wall: self.now,
            monotonic: self.desk.clock,
        };
        let statistics = self.desk.coordinator.0.statistics(now);
        match statistics.violations.first() {
            Some(evidence) => {
                Err(Promise::ConsistentCut.broken(format!("no consistent cut: {}", evidence.violation)))
            }
            None => Ok(()),
        }
    }
}

fn declined(task: SubtaskId, attempt: AttemptId, checkpoint: CheckpointId, reason: DeclineReason) -> Decline {
    Decline {
        task,
        attempt,
        checkpoint,
        reason: match reason {
            DeclineReason::Subsumed { .. } => FailureReason::Subsumed,
            DeclineReason::Cancelled => FailureReason::CancelMarker,
            _ => FailureReason::Declined,
        },
        cause: None,
    }
}
