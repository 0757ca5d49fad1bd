//! What a coordinator must do, written down once more: as sets of what is true, without its order of
//! steps.

use crate::script::ATTEMPT;
use snapline_coordinator::{Acknowledgement, CoordinatorAction, Manifest, RequestId};
use snapline_core::{CheckpointBarrier, CheckpointKind};
use snapline_state::StateHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) const TASKS: u32 = 3;
const TIMEOUT: u64 = 1000;
const INTERVAL: u64 = 100;

/// What the job is like.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) max_concurrent: u32,
    pub(crate) min_pause: u64,
    pub(crate) unaligned: bool,
    pub(crate) tolerable: u32,
}

/// How far a checkpoint or savepoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Collecting,
    /// Of a savepoint: into its target.
    Storing,
    /// Into the chain, when it is its turn.
    Ready,
    Claiming,
    Exists,
    GivenUp,
    /// Whether it exists will not be known.
    Lost,
}

#[derive(Debug)]
struct Run {
    kind: CheckpointKind,
    request: Option<RequestId>,
    deadline: u64,
    missing: BTreeSet<u32>,
    is_cut_broken: bool,
    stage: Stage,
    /// A write of its manifest whose answer is still to come, and whether it was made in secret.
    write: Option<(Arc<Manifest>, bool)>,
    /// What the coordinator must repeat as long as the outcome is open.
    claimed: Option<Arc<Manifest>>,
    is_outcome_open: bool,
}

/// What must come out of one step.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    given_up: BTreeSet<u64>,
    completed: Option<u64>,
    answered: BTreeMap<RequestId, bool>,
    failed: bool,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    job: Job,
    pub(crate) now: u64,
    runs: BTreeMap<u64, Run>,
    pub(crate) newest: u64,
    latest_completed: u64,
    finished: BTreeSet<u32>,
    restarting: BTreeSet<u32>,
    /// In the order in which they must start.
    waiting: Vec<(bool, RequestId, CheckpointKind)>,
    ending: Option<Option<RequestId>>,
    final_not_before: u64,
    last: Option<RequestId>,
    is_over: bool,
    is_dead: bool,
    failures: u32,
    last_start: u64,
    last_end: u64,
    commits: Vec<(u64, Arc<Manifest>)>,
    /// The commit that was asked for.
    committing: Option<u64>,
    is_commit_open: bool,
    requests: BTreeMap<RequestId, u32>,
    step: Step,
}

impl Oracle {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            now: 0,
            runs: BTreeMap::new(),
            newest: 4,
            latest_completed: 3,
            finished: BTreeSet::new(),
            restarting: BTreeSet::new(),
            waiting: Vec::new(),
            ending: None,
            final_not_before: 0,
            last: None,
            is_over: false,
            is_dead: false,
            failures: 0,
            last_start: 0,
            last_end: 0,
            commits: Vec::new(),
            committing: None,
            is_commit_open: false,
            requests: BTreeMap::new(),
            step: Step::default(),
        }
    }

    // What happens.

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        for id in self.pending() {
            let run = &self.runs[&id];
            if self.is_dead || run.deadline > self.now {
                continue;
            }
            let ends_job = run.kind.is_savepoint() && run.kind.stops_job();
            match run.stage {
                Stage::Collecting | Stage::Ready => self.give_up(id, true),
                Stage::Storing | Stage::Claiming if ends_job => self.die(),
                Stage::Storing => self.lose(id),
                _ => {
                    self.run(id).deadline = self.now + TIMEOUT;
                    self.count_failure();
                }
            }
        }
    }

    pub(crate) fn acknowledge(&mut self, ack: &Acknowledgement) {
        let cut_is_broken = ack.cut.channels[0].received != ack.cut.channels[0].sent;
        let task = ack.task.index.0;
        if ack.attempt == ATTEMPT && self.take_part(ack.checkpoint.0, task) {
            self.run(ack.checkpoint.0).is_cut_broken |= cut_is_broken;
            self.maybe_all_there(ack.checkpoint.0);
        }
    }

    pub(crate) fn decline(&mut self, id: u64, task: u32, counts: bool) {
        if task < TASKS && self.is_collecting(id) {
            self.give_up(id, counts);
        }
    }

    pub(crate) fn finish(&mut self, task: u32) {
        if !self.is_dead && task < TASKS && self.finished.insert(task) {
            for id in self.pending() {
                if !self.is_dead && self.take_part(id, task) {
                    self.maybe_all_there(id);
                }
            }
        }
    }

    pub(crate) fn fail_task(&mut self, task: u32) {
        if self.is_dead || self.is_over {
            return;
        }
        self.restarting.insert(task);
        self.finished.remove(&task);
        self.give_up_undecided();
        let pending = self.pending();
        let ends_job = |run: &Run| run.kind.is_savepoint() && run.kind.stops_job();
        if !self.is_dead && pending.iter().any(|id| ends_job(&self.runs[id])) {
            self.die();
        }
        if self.is_dead {
            return;
        }
        if let Some(Some(request)) = self.ending.take() {
            self.answer(request, false);
            let finals = self
                .runs
                .values_mut()
                .filter(|run| run.kind == CheckpointKind::Final);
            finals.for_each(|run| run.request = None);
        }
        self.dismiss(CheckpointKind::stops_job);
    }

    pub(crate) fn run_tasks(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.restarting)
    }

    pub(crate) fn give_up_undecided(&mut self) {
        for id in self.pending() {
            let is_undecided = matches!(self.runs[&id].stage, Stage::Collecting | Stage::Ready);
            if !self.is_dead && is_undecided {
                self.give_up(id, false);
            }
        }
    }

    /// Whether a request is taken.
    pub(crate) fn accepts(&self) -> bool {
        !self.is_dead && !self.is_over && self.ending.is_none() && self.restarting.is_empty()
    }

    pub(crate) fn request(&mut self, request: RequestId, kind: CheckpointKind) {
        assert_eq!(self.requests.insert(request, 0), None);
        if kind == CheckpointKind::Final {
            self.ending = Some(Some(request));
            self.final_not_before = self.now;
        } else {
            self.waiting.push((!kind.is_savepoint(), request, kind));
            self.waiting
                .sort_by_key(|(is_checkpoint, request, _)| (*is_checkpoint, *request));
            if kind.stops_job() {
                self.ending = Some(None);
            }
        }
        if self.ending.is_some() {
            self.dismiss(|kind| !kind.is_savepoint());
        }
    }

    /// The answer to a write, if one is under way: `Some(true)`: it was made, `Some(false)`: it was
    /// surely not, `None`: who knows.
    pub(crate) fn write_ends(&mut self, id: u64, known: bool, done: bool) -> Option<Option<bool>> {
        let run = self.runs.get_mut(&id)?;
        let (manifest, was_done) = run.write.take()?;
        let done = done || was_done;
        let open = run.is_outcome_open;
        if done {
            run.claimed = Some(manifest.clone());
        }
        let is_awaited = !self.is_dead && matches!(run.stage, Stage::Storing | Stage::Claiming);
        let answer = known.then_some(done);
        if is_awaited {
            match answer {
                Some(true) => self.written(id, &manifest),
                Some(false) if !open => self.give_up(id, true),
                _ => self.run(id).is_outcome_open = true,
            }
        }
        Some(answer)
    }

    pub(crate) fn commit_ends(&mut self, known: bool) -> Option<u64> {
        let id = self.committing.take()?;
        self.is_commit_open = !known;
        if known && !self.is_dead {
            assert_eq!(self.commits.remove(0).0, id);
        }
        Some(id)
    }

    pub(crate) fn stop(&mut self) {
        if !self.is_dead {
            self.is_dead = true;
            for id in self.pending() {
                if matches!(self.runs[&id].stage, Stage::Collecting | Stage::Ready) {
                    self.end(id, Stage::GivenUp);
                }
            }
            self.answer_all();
        }
    }

    // What follows.

    fn take_part(&mut self, id: u64, task: u32) -> bool {
        self.is_collecting(id) && self.run(id).missing.remove(&task)
    }

    fn maybe_all_there(&mut self, id: u64) {
        let (now, run) = (self.now, self.run(id));
        if !run.missing.is_empty() {
            return;
        }
        if run.is_cut_broken {
            return self.give_up(id, true);
        }
        run.stage = if run.kind.is_savepoint() {
            Stage::Storing
        } else {
            Stage::Ready
        };
        if run.kind.is_savepoint() {
            run.deadline = now + TIMEOUT;
        }
    }

    fn written(&mut self, id: u64, manifest: &Arc<Manifest>) {
        let run = self.run(id);
        let kind = run.kind;
        (run.claimed, run.is_outcome_open) = (None, false);
        if run.stage == Stage::Storing && kind.stops_job() {
            run.stage = Stage::Ready;
            return;
        }
        if !(kind.stops_job() && run.kind.is_savepoint()) || run.stage == Stage::Claiming {
            run.stage = Stage::Exists;
        }
        self.last_end = self.now;
        let request = self.run(id).request.take();
        if kind == CheckpointKind::Savepoint {
            return request.into_iter().for_each(|request| self.answer(request, true));
        }
        self.failures = 0;
        self.latest_completed = id;
        self.step.completed = Some(id);
        if !manifest.own_commits().is_empty() {
            self.commits.push((id, manifest.clone()));
        }
        for older in self.pending() {
            if older < id && !self.runs[&older].kind.is_savepoint() {
                self.give_up(older, false);
            }
        }
        if kind.stops_job() {
            (self.is_over, self.last) = (true, request);
            if let Some(Some(late)) = self.ending
                && request != Some(late)
            {
                self.answer(late, false);
            }
            self.dismiss(|_| true);
        } else {
            request.into_iter().for_each(|request| self.answer(request, true));
        }
    }

    fn give_up(&mut self, id: u64, counts: bool) {
        let request = self.end(id, Stage::GivenUp);
        let kind = self.runs[&id].kind;
        if kind == CheckpointKind::Final {
            self.final_not_before = self.now + 100;
        } else if let Some(request) = request {
            self.answer(request, false);
        }
        match (kind.is_savepoint(), kind.stops_job()) {
            (true, true) => self.die(),
            (false, _) if counts => self.count_failure(),
            _ => {}
        }
    }

    fn lose(&mut self, id: u64) {
        if let Some(request) = self.end(id, Stage::Lost) {
            self.answer(request, false);
        }
    }

    fn end(&mut self, id: u64, stage: Stage) -> Option<RequestId> {
        self.last_end = self.now;
        self.step.given_up.insert(id);
        let run = self.run(id);
        run.stage = stage;
        let is_final = run.kind == CheckpointKind::Final;
        if is_final { None } else { run.request.take() }
    }

    fn count_failure(&mut self) {
        self.failures += 1;
        if self.failures > self.job.tolerable {
            self.die();
        }
    }

    fn die(&mut self) {
        if !self.is_dead {
            (self.is_dead, self.step.failed) = (true, true);
            self.answer_all();
        }
    }

    fn answer_all(&mut self) {
        let open = self.requests.iter().filter(|(_, answers)| **answers == 0);
        for request in open.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.answer(request, false);
        }
        self.waiting.clear();
    }

    fn answer(&mut self, request: RequestId, ok: bool) {
        *self.requests.entry(request).or_default() += 1;
        assert_eq!(self.step.answered.insert(request, ok), None);
    }

    fn dismiss(&mut self, is_meant: impl Fn(CheckpointKind) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, _, kind)| is_meant(*kind));
        self.waiting = stay;
        let gone: Vec<_> = gone;
        gone.into_iter()
            .for_each(|(_, request, _)| self.answer(request, false));
    }

    // What the coordinator does about it.

    /// Compares what it does with what it must do.
    pub(crate) fn compare(&mut self, actions: &[CoordinatorAction]) {
        let is_all_done = self.is_over && self.commits.is_empty() && self.pending().is_empty();
        if let Some(request) = self.last.take_if(|_| is_all_done) {
            self.answer(request, true);
        }
        let expected = std::mem::take(&mut self.step);
        let mut done = Step::default();
        for action in actions {
            assert!(!done.failed, "{action:?} after the job has failed");
            self.observe(action, &mut done);
        }
        assert_eq!(done, expected);
        self.check_nothing_is_left_undone();
    }

    fn observe(&mut self, action: &CoordinatorAction, done: &mut Step) {
        match action {
            CoordinatorAction::BeginSavepoint { request, checkpoint } => {
                assert_eq!(self.waiting.first().map(|(_, first, _)| first), Some(request));
                assert_eq!(checkpoint.0, self.newest + 1);
            }
            CoordinatorAction::TriggerSources(barrier) => self.started(barrier),
            CoordinatorAction::PublishSavepoint(manifest) => self.written_to(manifest, Stage::Storing),
            CoordinatorAction::Publish(manifest) => self.written_to(manifest, Stage::Claiming),
            CoordinatorAction::NotifyComplete { checkpoint, previous } => {
                assert!(*previous < Some(*checkpoint));
                assert_eq!(done.completed.replace(checkpoint.0), None);
            }
            CoordinatorAction::NotifyAborted {
                checkpoint,
                latest_completed,
            } => {
                assert!(done.given_up.insert(checkpoint.0));
                assert_eq!(latest_completed.map(|id| id.0), Some(self.latest_completed));
            }
            CoordinatorAction::Commit { checkpoint, commits } => {
                let (id, manifest) = &self.commits[0];
                assert_eq!((*id, &manifest.own_commits()[..]), (checkpoint.0, &commits[..]));
                assert_eq!(self.committing.replace(checkpoint.0), None);
                self.is_commit_open = false;
            }
            CoordinatorAction::Discard(handles) => self.check_discard(handles),
            CoordinatorAction::DiscardSavepoint { checkpoint } => {
                let run = &self.runs[&checkpoint.0];
                assert!(run.kind.is_savepoint() && run.stage == Stage::GivenUp, "{run:?}");
            }
            CoordinatorAction::RequestDone { request, outcome } => {
                assert_eq!(done.answered.insert(*request, outcome.is_ok()), None);
            }
            CoordinatorAction::CollectGarbage | CoordinatorAction::DeleteCheckpoints => {}
            CoordinatorAction::FailJob(_) => done.failed = true,
        }
    }

    fn started(&mut self, barrier: &CheckpointBarrier) {
        let (id, kind) = (barrier.checkpoint.0, barrier.options.kind);
        assert_eq!(id, self.newest + 1);
        assert!(!self.is_dead && !self.is_over && self.restarting.is_empty());
        assert!(self.has_room(kind), "{barrier:?}");
        let request = if !self.waiting.is_empty() {
            let (_, request, wanted) = self.waiting.remove(0);
            assert_eq!(kind, wanted);
            Some(request)
        } else if kind == CheckpointKind::Final {
            assert!(self.final_not_before <= self.now);
            self.ending.unwrap()
        } else {
            assert!(self.is_periodic_due());
            None
        };
        if kind == CheckpointKind::Checkpoint {
            self.last_start = self.now;
        }
        let missing: BTreeSet<u32> = (0..TASKS).filter(|task| !self.finished.contains(task)).collect();
        self.newest = id;
        let run = Run {
            kind,
            request,
            deadline: self.now + TIMEOUT,
            stage: Stage::Collecting,
            missing,
            is_cut_broken: false,
            write: None,
            claimed: None,
            is_outcome_open: false,
        };
        self.runs.insert(id, run);
        self.maybe_all_there(id);
    }

    fn written_to(&mut self, manifest: &Arc<Manifest>, stage: Stage) {
        let (id, now) = (manifest.checkpoint.0, self.now);
        let owed: Vec<_> = self
            .commits
            .iter()
            .flat_map(|(_, manifest)| manifest.own_commits())
            .collect();
        let is_claiming = |(other, run): (&u64, &Run)| *other != id && run.stage == Stage::Claiming;
        assert!(stage == Stage::Storing || !self.runs.iter().any(is_claiming));
        let older = self.runs.range(..id);
        let is_first = older.clone().all(|(_, run)| run.stage != Stage::Ready);
        let parent = self.latest_completed;
        let run = self.run(id);
        assert!(
            run.missing.is_empty() && !run.is_cut_broken && run.write.is_none(),
            "{run:?}"
        );
        if run.is_outcome_open {
            let before = run.claimed.as_ref();
            assert!(
                before.is_none_or(|before| before == manifest),
                "a retry must be the same claim"
            );
            assert_eq!(run.stage, stage);
        } else {
            assert!(
                stage == Stage::Storing || is_first,
                "{id} is published before its turn"
            );
            assert_eq!(
                run.kind.is_savepoint() && run.stage == Stage::Storing,
                stage == Stage::Storing
            );
            assert_eq!(
                manifest.uncommitted, owed,
                "a restore of {id} alone must finish all commits"
            );
            assert_eq!(manifest.parent.map(|id| id.0), Some(parent));
            if run.kind.is_savepoint() {
                run.deadline = now + TIMEOUT;
            }
        }
        run.stage = stage;
        let was_done = run.is_outcome_open && run.claimed.is_some();
        run.write = Some((manifest.clone(), was_done));
    }

    /// Neither state of a checkpoint that exists nor of one that may come to exist.
    fn check_discard(&self, handles: &[StateHandle]) {
        for handle in handles {
            let name = format!("{:?}", handle.location);
            let owner = name.split("-e").nth(1).and_then(|rest| rest.split('/').next());
            let owner: u64 = owner.unwrap().parse().unwrap();
            let stage = self.runs[&owner].stage;
            let is_foreign = self.is_collecting(owner) && name.contains(&format!("/{owner}-{TASKS}\""));
            assert!(stage == Stage::GivenUp || is_foreign, "{stage:?} {name}");
        }
    }

    /// Whatever can be started or published has been.
    fn check_nothing_is_left_undone(&self) {
        if self.is_dead || self.is_over {
            return;
        }
        let stages = || self.runs.values().map(|run| run.stage);
        if stages().any(|stage| stage == Stage::Ready) {
            assert!(
                stages().any(|stage| stage == Stage::Claiming),
                "nobody is published"
            );
        }
        let stored = self.runs.values().filter(|run| run.stage == Stage::Storing);
        stored.for_each(|run| assert!(run.write.is_some() || run.is_outcome_open));
        assert!(self.committing.is_some() || self.commits.is_empty() || self.is_commit_open);
        if self.restarting.is_empty() {
            match self.waiting.first() {
                Some((_, request, kind)) => assert!(!self.has_room(*kind), "{request} does not start"),
                None if self.is_periodic_due() => assert!(!self.has_room(CheckpointKind::Checkpoint)),
                None => {}
            }
        }
    }

    fn is_periodic_due(&self) -> bool {
        let interval = INTERVAL.max(self.job.min_pause);
        let pause = if self.last_end > 0 || self.newest > 4 {
            self.last_end + self.job.min_pause
        } else {
            0
        };
        self.ending.is_none() && self.now >= self.last_start + interval && self.now >= pause
    }

    fn has_room(&self, kind: CheckpointKind) -> bool {
        let pending: Vec<&Run> = self.pending().iter().map(|id| &self.runs[id]).collect();
        let collides =
            |run: &&Run| run.stage == Stage::Collecting && run.kind.is_savepoint() != kind.is_savepoint();
        let checkpoints = pending.iter().filter(|run| !run.kind.is_savepoint()).count();
        !(self.job.unaligned && pending.iter().any(collides))
            && (kind.is_savepoint() || checkpoints < self.job.max_concurrent as usize)
    }

    // What is known.

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead
    }

    pub(crate) fn pending(&self) -> Vec<u64> {
        let over = [Stage::Exists, Stage::GivenUp, Stage::Lost];
        let pending = self.runs.iter().filter(|(_, run)| !over.contains(&run.stage));
        pending.map(|(id, _)| *id).collect()
    }

    /// Checkpoints whose manifest is being written to the chain, or savepoints to their target.
    pub(crate) fn writing(&self, savepoints: bool) -> Vec<u64> {
        let writing = self.runs.iter().filter(|(_, run)| run.write.is_some());
        let stage = if savepoints {
            Stage::Storing
        } else {
            Stage::Claiming
        };
        writing
            .filter(|(_, run)| run.stage == stage)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn answered_once(&self) -> bool {
        self.requests.values().all(|answers| *answers == 1)
    }

    fn is_collecting(&self, id: u64) -> bool {
        let is_running = !self.is_dead;
        is_running
            && self
                .runs
                .get(&id)
                .is_some_and(|run| run.stage == Stage::Collecting)
    }

    fn run(&mut self, id: u64) -> &mut Run {
        self.runs.get_mut(&id).unwrap()
    }
}
