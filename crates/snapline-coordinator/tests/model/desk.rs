//! The coordinator and all that is on its way to it or from it.

use crate::flaw::Flaw;
use crate::job::Job;
use crate::part::Part;
use crate::promise::{Outcome, Promise};
use crate::sent::Sent;
use snapline_barrier::DeclineReason;
use snapline_coordinator::{
    CheckpointCoordinator, CoordinatorContext, Manifest, Moment, OperatorPlan, RequestId, SubtaskCommit,
};
use snapline_core::{
    AlignmentSettings, AttemptId, BarrierAlignment, CheckpointId, CheckpointMode, CheckpointSettings, JobId,
    MaxParallelism, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) coordinator: Part<Shown>,
    /// Checkpoints that were started and are neither complete nor given up.
    pub(crate) live: BTreeSet<CheckpointId>,
    pub(crate) requests: BTreeSet<RequestId>,
    /// The newest checkpoint that was started in this attempt.
    pub(crate) started: CheckpointId,
    /// When the newest checkpoint was asked for.
    pub(crate) triggered: Option<Timestamp>,
    /// Acknowledgements on their way.
    pub(crate) wire: BTreeMap<CheckpointId, BTreeMap<usize, Sent>>,
    pub(crate) declines: Vec<(usize, CheckpointId, DeclineReason)>,
    /// Calls that have not ended.
    pub(crate) publish: Option<Arc<Manifest>>,
    pub(crate) commit: Option<(CheckpointId, Arc<[SubtaskCommit]>)>,
    /// When the coordinator will try again.
    pub(crate) retry: Option<Duration>,
    /// Its own time, which goes on only while it waits for that.
    pub(crate) clock: Duration,
}

impl Desk {
    pub(crate) fn new(job: &Job, attempt: AttemptId, restored: Option<CheckpointId>, now: Timestamp) -> Self {
        let all = || (0..job.tasks.len()).map(|task| job.id(task));
        let mut operators: Vec<OperatorPlan> = Vec::new();
        for id in all() {
            match operators.iter_mut().find(|plan| plan.uid == id.operator) {
                Some(plan) => plan.parallelism += 1,
                None => operators.push(OperatorPlan {
                    uid: id.operator.clone(),
                    name: id.operator.to_string(),
                    parallelism: 1,
                    chain: id.operator,
                }),
            }
        }
        let forgotten = match job.flaw {
            Some(Flaw::CompleteWithout(task)) => Some(job.id(task)),
            _ => None,
        };
        let context = CoordinatorContext {
            job: JobId::new("model").unwrap(),
            attempt,
            max_parallelism: MaxParallelism::DEFAULT,
            settings: Some(settings(job)),
            tasks: all().filter(|id| Some(id) != forgotten.as_ref()).collect(),
            operators,
            // The take-over of an attempt uses a number as well.
            last_used: restored.map_or(CheckpointId::NONE, CheckpointId::next),
            latest_completed: restored,
            finished: Vec::new(),
            seed: None,
            history: snapline_coordinator::CheckpointHistory::default(),
        };
        let clock = Duration::ZERO;
        let at = Moment {
            wall: now,
            monotonic: clock,
        };
        Self {
            coordinator: Part::new(Shown(CheckpointCoordinator::new(context, at))),
            live: BTreeSet::new(),
            requests: BTreeSet::new(),
            started: CheckpointId::NONE,
            triggered: None,
            wire: BTreeMap::new(),
            declines: Vec::new(),
            publish: None,
            commit: None,
            retry: None,
            clock,
        }
    }

    pub(crate) fn check_end(&self) -> Outcome {
        if let Some(checkpoint) = self.live.first() {
            return Err(Promise::EveryTriggerEnds.broken(format!(
                "checkpoint {checkpoint} is neither complete nor given up, for ever"
            )));
        }
        if !self.requests.is_empty() {
            return Err(Promise::EveryTriggerEnds.broken("a request is never answered"));
        }
        if self.coordinator.0.uncommitted() > 0 {
            return Err(Promise::NoLoss.broken("a completed checkpoint is never committed"));
        }
        Ok(())
    }
}

/// A coordinator that is told apart by its `Debug` form, which shows all but what never changes and what
/// is only counted for those who watch it.
#[derive(Debug, Clone)]
pub(crate) struct Shown(pub(crate) CheckpointCoordinator);

impl Hash for Shown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let text = format!("{:?}", self.0);
        let (_, text) = text.split_once(", tasks: Tasks {").unwrap();
        let (decides, text) = text.rsplit_once(", history: CheckpointHistory {").unwrap();
        let (_, life) = text.rsplit_once(", life: ").unwrap();
        (decides, life).hash(state);
    }
}

impl Hash for Desk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            coordinator,
            live,
            requests,
            started,
            triggered,
            wire,
            declines,
            publish,
            commit,
            retry,
            clock,
        } = self;
        // The coordinator itself has what these calls are about.
        let publish = publish.as_ref().map(|manifest| manifest.checkpoint);
        let commit = commit.as_ref().map(|(checkpoint, _)| *checkpoint);
        (coordinator, live, requests, started, triggered, wire).hash(state);
        (declines, publish, commit, retry, clock).hash(state);
    }
}

fn settings(job: &Job) -> CheckpointSettings {
    let hours = Duration::from_secs(100 * 3600);
    CheckpointSettings {
        mode: match job.alignment {
            BarrierAlignment::AtLeastOnce => CheckpointMode::AtLeastOnce,
            _ => CheckpointMode::ExactlyOnce,
        },
        alignment: match job.alignment {
            BarrierAlignment::Unaligned => AlignmentSettings::Unaligned,
            BarrierAlignment::AlignedWithTimeout { timeout_ms } => {
                AlignmentSettings::AlignedWithTimeout { timeout_ms }
            }
            _ => AlignmentSettings::Aligned,
        },
        max_concurrent: job.concurrent,
        timeout_ms: u64::try_from(hours.as_millis()).unwrap(),
        ..CheckpointSettings::every(hours)
    }
}
