//! From a restored checkpoint to tasks that are ready to run.

use super::commit::{Committers, commit_all, recover_all};
use super::growth::GrowingSources;
use super::loops::Loops;
use super::recoveries::Recoveries;
use super::region::Newest;
use super::savepoint::Savepoints;
use super::{Attempt, AttemptEnd, Outcome};
use crate::cluster::ClusterParts;
use crate::deploy::{DeployedTask, Deployment, LoadedTask, States};
use crate::lead::Lead;
use crate::observed::Observed;
use crate::regions::Regions;
use crate::restore::{check_fits, states_of_all, verify_sources};
use crate::status::Shared;
use crate::storing::Storing;
use crate::task::TaskReport;
use futures::FutureExt;
use futures::channel::mpsc;
use futures::future::{Either, select};
use snapline_coordinator::{CheckpointStore, CoordinatorContext, Manifest, OperatorPlan, Restored};
use snapline_core::{AttemptId, Error, Result};
use snapline_dataflow::{JobGraph, NodeFactory};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an attempt is started with.
pub(crate) struct Start {
    pub(crate) cluster: ClusterParts,
    pub(crate) job: Arc<JobGraph>,
    pub(crate) attempt: AttemptId,
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lead: Arc<Lead>,
    pub(crate) restored: Restored,
}

/// An attempt whose state is loaded. Until now nothing but the take-over has happened to the job.
pub(crate) struct Loaded {
    start: Start,
    /// `None` when the job had ended already.
    tasks: Option<LoadedTasks>,
}

/// An attempt whose tasks are ready to run.
struct Prepared {
    attempt: Attempt,
    tasks: Vec<DeployedTask>,
    reports: mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

struct LoadedTasks {
    states: Arc<States>,
    deployment: Deployment,
    tasks: Vec<LoadedTask>,
    reports: mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
}

impl Start {
    /// Loads the state of the checkpoint, whose checksums are compared meanwhile, and builds the tasks.
    ///
    /// # Errors
    /// `Corrupted` when state is damaged; otherwise what keeps it from being read or the tasks from being built.
    pub(crate) async fn load(self) -> Result<Loaded> {
        if let Some(manifest) = &self.restored.manifest {
            check_fits(&self.job, manifest)?;
        }
        let has_ended = |manifest: &Manifest| manifest.finished;
        let tasks = match self.restored.manifest.as_ref().is_some_and(has_ended) {
            true => None,
            false => Some(self.load_tasks().await?),
        };
        Ok(Loaded { start: self, tasks })
    }

    async fn load_tasks(&self) -> Result<LoadedTasks> {
        let states = states_of_all(
            &self.job,
            self.restored.manifest.as_ref(),
            &**self.restored.storage(),
            self.restored.base(),
        )
        .boxed()
        .await?;
        let states = Arc::new(states);
        let job = states.in_flight.plan(&self.job)?;
        let (sender, reports) = mpsc::unbounded();
        let deployment = Deployment {
            job,
            attempt: self.attempt,
            leading: self.attempt,
            executor: self.cluster.executor.clone(),
            clock: self.cluster.clock.clone(),
            network: self.cluster.network.clone(),
            probe: self.cluster.probe.clone(),
            store: self.store.clone(),
            storage: self.restored.storage().clone(),
            reports: sender,
            storing: Storing::default(),
            watermarks: Arc::default(),
        };
        let tasks = deployment.load(states.clone()).await?;
        Ok(LoadedTasks {
            states,
            deployment,
            tasks,
            reports,
        })
    }

    /// Commits what the restored checkpoint has promised, then lets each sink clean up: before
    /// anything else runs.
    async fn recover_sinks(&self) -> Result<Committers> {
        let mut committers = Committers::new();
        for node in &self.job.nodes {
            if let NodeFactory::Sink(sink) = &node.node.factory {
                let checkpoints = self.job.settings.checkpoints.as_ref();
                let checked = checkpoints.map_or(Ok(()), |checkpoints| sink.check(checkpoints));
                let opened = checked.and_then(|()| sink.committer(&self.job.job, &node.uid, self.attempt));
                let committer = opened.map_err(|error| error.with("operator", &node.node.name))?;
                committers.insert(node.uid.clone(), committer);
            }
        }
        let commits = self.restored.unfinished_commits();
        let newest = commits.iter().map(|commit| commit.checkpoint).max();
        commit_all(&mut committers, &commits).await?;
        if let Some(newest) = newest {
            self.store.mark_committed(newest).await?;
        }
        recover_all(&mut committers, self.attempt, self.restored.checkpoint()).await?;
        Ok(committers)
    }

    fn attempt(
        &self,
        committers: Committers,
        deployment: Deployment,
        states: Arc<States>,
        tasks: &[DeployedTask],
    ) -> Result<(Attempt, mpsc::UnboundedReceiver<Outcome>)> {
        let job = deployment.job.clone();
        let plan = |node: &snapline_dataflow::JobNode| OperatorPlan {
            uid: node.uid.clone(),
            name: node.node.name.clone(),
            parallelism: node.parallelism,
            chain: job.node(job.vertices[node.vertex].head).uid.clone(),
        };
        let context = CoordinatorContext {
            job: self.job.job.clone(),
            attempt: self.attempt,
            max_parallelism: self.job.max_parallelism,
            settings: self.job.settings.checkpoints.clone(),
            tasks: tasks.iter().map(|task| task.id.clone()).collect(),
            operators: job.nodes.iter().map(plan).collect(),
            last_used: self.restored.last_used,
            latest_completed: self.restored.checkpoint(),
            finished: states.finished.tasks(&job).collect(),
            seed: Some(self.cluster.nonce ^ self.attempt.0.rotate_left(32)),
            history: self.shared.history(),
        };
        let (sender, outcomes) = mpsc::unbounded();
        let regions = Regions::of(&deployment.job);
        let attempt = Attempt {
            coordinator: Observed::new(context, self.cluster.clock.clone()),
            cluster: self.cluster.clone(),
            job: deployment.job.clone(),
            attempt: self.attempt,
            store: self.store.clone(),
            shared: self.shared.clone(),
            committers: Arc::new(tokio::sync::Mutex::new(committers)),
            lead: self.lead.clone(),
            loops: Loops::new(&deployment.job, &regions, &states.finished),
            growing: GrowingSources::new(
                &deployment.job,
                &states.operators,
                &states.finished,
                self.cluster.clock.monotonic(),
            )?,
            regions,
            deployment,
            newest: Newest::Start(states, self.restored.checkpoint()),
            publishing: BTreeMap::new(),
            recoveries: Recoveries::default(),
            savepoints: Savepoints::default(),
            ending: BTreeMap::new(),
            end: AttemptEnd::Finished,
            restarts: Vec::new(),
            tasks: BTreeMap::new(),
            with_data: tasks.iter().map(|task| task.id.clone()).collect(),
            running: BTreeSet::new(),
            outcomes: sender,
            is_finishing: false,
            has_checkpoint_ended: true,
            actions: Vec::new(),
        };
        Ok((attempt, outcomes))
    }
}

impl Loaded {
    /// What is restored.
    pub(crate) fn restored(&self) -> &Restored {
        &self.start.restored
    }

    /// Keeps what the checkpoint has promised, and then runs the attempt to its end.
    ///
    /// # Errors
    /// What made it fail; `Cancelled` when it was cancelled.
    pub(crate) async fn run(self) -> Result<AttemptEnd> {
        let shared = self.start.shared.clone();
        let prepared = match select(Box::pin(shared.cancelled()), self.prepare().boxed()).await {
            Either::Left(_) => return Err(Error::cancelled("the job was cancelled")),
            Either::Right((prepared, _)) => prepared?,
        };
        match prepared {
            Some(prepared) => {
                let Prepared {
                    attempt,
                    tasks,
                    reports,
                    outcomes,
                } = prepared;
                attempt.run(tasks, reports, outcomes).await
            }
            None => Ok(AttemptEnd::Finished),
        }
    }

    /// Puts the outside world in the state of the checkpoint; `None` when the job had ended already.
    async fn prepare(self) -> Result<Option<Prepared>> {
        let Self { start, tasks } = self;
        let committers = start.recover_sinks().await?;
        let Some(loaded) = tasks else {
            return Ok(None);
        };
        let LoadedTasks {
            states,
            deployment,
            tasks,
            reports,
        } = loaded;
        if start.restored.manifest.is_some() {
            verify_sources(&start.job, &states).await?;
        }
        let tasks = deployment.open(tasks).await?;
        let (attempt, outcomes) = start.attempt(committers, deployment, states, &tasks)?;
        Ok(Some(Prepared {
            attempt,
            tasks,
            reports,
            outcomes,
        }))
    }
}
