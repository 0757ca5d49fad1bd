//! The end of a stream: a sink's writers and committer.

use crate::context::OperatorContext;
use crate::factory::{ErasedCommitter, ErasedLink, SinkFactory};
use crate::link::{Link, Signal};
use crate::operator::located::Place;
use crate::snapshot::OperatorSnapshot;
use async_trait::async_trait;
use futures::future::{BoxFuture, Shared, try_join_all};
use futures::{FutureExt, TryFutureExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_connector::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use snapline_core::{
    AttemptId, Batch, CheckpointId, CheckpointSettings, Data, Error, JobId, OperatorUid, Result, decode,
    encode_into,
};
use snapline_state::Committable;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

pub(crate) struct SinkOf<S, T> {
    sink: Arc<S>,
    types: PhantomData<fn(T)>,
}

impl<S, T> SinkOf<S, T> {
    pub(crate) fn new(sink: S) -> Self {
        Self {
            sink: Arc::new(sink),
            types: PhantomData,
        }
    }
}

impl<T: Data, S: Sink<T>> SinkFactory for SinkOf<S, T> {
    fn link(&self, context: OperatorContext) -> Result<ErasedLink> {
        let place = Place::of(&context);
        Ok(place.link::<T>(SinkLink {
            sink: self.sink.clone(),
            context: WriterContext {
                job: context.job,
                operator: context.operator,
                subtask: context.subtask,
                parallelism: context.parallelism,
                attempt: context.attempt,
            },
            writer: None,
            unconfirmed: VecDeque::new(),
            failure: Arc::default(),
        }))
    }

    fn check(&self, checkpoints: &CheckpointSettings) -> Result<()> {
        self.sink.check(checkpoints)
    }

    fn recovery_scope(&self) -> RecoveryScope {
        self.sink.recovery_scope()
    }

    fn committer(
        &self,
        job: &JobId,
        operator: &OperatorUid,
        attempt: AttemptId,
    ) -> Result<Box<dyn ErasedCommitter>> {
        let context = CommitterContext {
            job: job.clone(),
            operator: operator.clone(),
            attempt,
        };
        Ok(Box::new(DecodingCommitter(self.sink.committer(context)?)))
    }
}

struct SinkLink<S: Sink<T>, T> {
    sink: Arc<S>,
    context: WriterContext,
    /// Opened by the first step of the task: links are made while state is loaded, before the output is put in the
    /// state of the checkpoint, and the checkpoint may yet turn out to be damaged.
    writer: Option<Box<dyn SinkWriter<T, S::Committable>>>,
    /// What was pre-committed for checkpoints that are not known to be complete. A checkpoint that
    /// is given up takes its acknowledgements with it, so the next one names these again.
    unconfirmed: VecDeque<(CheckpointId, PreCommit)>,
    /// Set when a pre-commit has failed: what it was to make durable is lost, only a restart helps.
    failure: Arc<OnceLock<Error>>,
}

type PreCommit = Shared<BoxFuture<'static, Result<Vec<Committable>>>>;

impl<T: Data, S: Sink<T>> SinkLink<S, T> {
    fn writer(&mut self) -> Result<&mut dyn SinkWriter<T, S::Committable>> {
        let opened = match self.writer.take() {
            Some(writer) => writer,
            None => self.sink.writer(self.context.clone())?,
        };
        Ok(&mut **self.writer.insert(opened))
    }

    fn pre_commit(&mut self, checkpoint: CheckpointId) -> Result<OperatorSnapshot> {
        let prepared = AssertUnwindSafe(self.writer()?.prepare_commit(checkpoint)?).catch_unwind();
        let prepared =
            prepared.map(|prepared| prepared.unwrap_or_else(|panic| Err(Error::panicked(&*panic))));
        let failure = self.failure.clone();
        let encoded = prepared.map(move |prepared| match prepared {
            Ok(prepared) => prepared.iter().map(encoded).collect(),
            Err(error) => Err(failure.get_or_init(|| error).clone()),
        });
        self.unconfirmed.push_back((checkpoint, encoded.boxed().shared()));
        let all: Vec<PreCommit> = self
            .unconfirmed
            .iter()
            .map(|(_, prepared)| prepared.clone())
            .collect();
        let all = try_join_all(all).map_ok(|committables| committables.concat());
        Ok(OperatorSnapshot::of(&self.context.operator).with_committables(all.boxed()))
    }

    fn on_complete(&mut self, checkpoint: CheckpointId) {
        while self
            .unconfirmed
            .front()
            .is_some_and(|(older, _)| *older <= checkpoint)
        {
            self.unconfirmed.pop_front();
        }
    }
}

impl<T: Data, S: Sink<T>> Link<T> for SinkLink<S, T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.writer()?.write(batch)?;
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Barrier(snapshot) => {
                let prepared = self.pre_commit(snapshot.barrier.checkpoint)?;
                snapshot.operators.push(prepared);
                Ok(())
            }
            Signal::CheckpointComplete(checkpoint) => {
                self.on_complete(*checkpoint);
                Ok(())
            }
            Signal::Flush | Signal::EndOfData => self.writer()?.flush(),
            _ => Ok(()),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(failure) = self.failure.get() {
            return Poll::Ready(Err(failure.clone()));
        }
        self.writer()?.poll_ready(cx)
    }

    fn poll_advance(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn encoded<C: Serialize>(committable: &C) -> Result<Committable> {
    let mut bytes = Vec::new();
    encode_into(committable, &mut bytes)?;
    Ok(Committable(bytes.into()))
}

struct DecodingCommitter<C>(Box<dyn Committer<C>>);

#[async_trait]
impl<C: DeserializeOwned + Send + 'static> ErasedCommitter for DecodingCommitter<C> {
    async fn commit(&mut self, committables: Vec<Committable>) -> Result<()> {
        let committables = committables
            .iter()
            .map(|bytes| decode(&bytes.0))
            .collect::<Result<Vec<C>>>()?;
        if committables.is_empty() {
            Ok(())
        } else {
            self.0.commit(committables).await
        }
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        self.0.recover(attempt, restored).await
    }
}
