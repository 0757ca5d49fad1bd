//! Somebody who takes savepoints of a running job, and stops and starts it.

use super::dice::Dice;
use super::fate::Fate;
use super::time::Time;
use super::trace::Trace;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use snapline_core::{ClaimMode, ErrorKind, RestoreSettings, Result};
use snapline_dataflow::{JobHandle, JobResult, JobState, SavepointKind, SavepointRequest};
use std::sync::Arc;

/// The longest time between two interventions, in microseconds.
const LONGEST_PAUSE: u64 = 30_000;

/// Somebody who may do to a job what users do.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) time: Arc<Time>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) dice: Dice,
    /// Which process of the run it is.
    pub(crate) process: u64,
}

/// How a job has ended.
#[derive(Debug)]
pub(crate) enum JobEnd {
    /// All input was read.
    Finished,
    /// The user has stopped it and will start it again, with these settings.
    Stopped(Option<RestoreSettings>),
}

type Ending<'a> = BoxFuture<'a, Result<JobResult>>;

impl User {
    /// Waits for the end of a job, and does not leave it alone until then.
    ///
    /// # Errors
    /// What made the job fail.
    pub(crate) async fn attend(&self, job: &JobHandle) -> Result<JobEnd> {
        let mut ending: Ending<'_> = job.wait().boxed();
        let mut taken = 0;
        while self.fate.intervenes() {
            let pause = self.time.sleep_micros(self.dice.scale(LONGEST_PAUSE));
            ending = match select(ending, pause).await {
                Either::Left((ended, _)) => return outcome(ended),
                Either::Right(((), ending)) => ending,
            };
            taken += 1;
            let path = format!("savepoints/{}-{taken}", self.process);
            let request = SavepointRequest::new(path);
            let request = match self.dice.below(3) {
                0 => return self.cancel(job, ending).await,
                1 => request.suspend(),
                _ => request,
            };
            ending = match self.savepoint(job, ending, request).await? {
                Either::Left(end) => return Ok(end),
                Either::Right(ending) => ending,
            };
        }
        outcome(ending.await)
    }

    async fn cancel(&self, job: &JobHandle, ending: Ending<'_>) -> Result<JobEnd> {
        self.trace.note("user", || "cancels the job".to_owned());
        job.cancel();
        match ending.await {
            Err(error) if error.kind() == ErrorKind::Cancelled => Ok(JobEnd::Stopped(None)),
            ended => outcome(ended),
        }
    }

    /// Takes a savepoint; the ending comes back when the job goes on.
    async fn savepoint<'a>(
        &self,
        job: &JobHandle,
        ending: Ending<'a>,
        request: SavepointRequest,
    ) -> Result<Either<JobEnd, Ending<'a>>> {
        let (path, kind) = (request.path.clone(), request.kind);
        self.trace.note("user", || format!("asks for {path} ({kind:?})"));
        let (answer, ending) = match select(job.savepoint(request).boxed(), ending).await {
            Either::Left(answered) => answered,
            Either::Right((ended, _)) => return outcome(ended).map(Either::Left),
        };
        self.trace.note("user", || match &answer {
            Ok(taken) => format!("has {path}, it is checkpoint {}", taken.checkpoint),
            Err(error) => format!("does not get {path}: {error}"),
        });
        if answer.is_err() || kind != SavepointKind::Suspend {
            return Ok(Either::Right(ending));
        }
        let end = outcome(ending.await)?;
        Ok(Either::Left(self.stopped_with(end, path)))
    }

    /// Half of the users start a job again from its savepoint, the others leave that to the job.
    fn stopped_with(&self, end: JobEnd, path: String) -> JobEnd {
        let claims = [ClaimMode::Claim, ClaimMode::NoClaim];
        match (end, self.dice.one_in(2)) {
            (JobEnd::Stopped(None), true) => {
                let claim = self.dice.one_of(&claims).copied().unwrap_or_default();
                JobEnd::Stopped(Some(RestoreSettings { path, claim }))
            }
            (end, _) => end,
        }
    }
}

fn outcome(ended: Result<JobResult>) -> Result<JobEnd> {
    let suspended = ended?.status.state == JobState::Suspended;
    Ok(match suspended {
        true => JobEnd::Stopped(None),
        false => JobEnd::Finished,
    })
}
