//! Cancel always works.

use crate::support::{Counted, count_by_remainder, environment, wait_for};
use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use snapline::connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline::core::{AttemptId, Batch, CheckpointId};
use snapline::prelude::*;
use snapline::{ErrorKind, Result};
use std::task::{Context, Poll};

/// Where a sink hangs for ever.
#[derive(Clone, Copy, PartialEq)]
enum Hang {
    Ready,
    Prepare,
    Commit,
    Recover,
}

struct Stuck(Hang);

impl Sink<Counted> for Stuck {
    type Committable = u64;

    fn writer(&self, _context: WriterContext) -> Result<Box<dyn SinkWriter<Counted, u64>>> {
        Ok(Box::new(Self(self.0)))
    }

    fn committer(&self, _context: CommitterContext) -> Result<Box<dyn Committer<u64>>> {
        Ok(Box::new(Self(self.0)))
    }
}

impl SinkWriter<Counted, u64> for Stuck {
    fn write(&mut self, batch: &mut Batch<Counted>) -> Result<()> {
        batch.clear();
        Ok(())
    }

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.0 == Hang::Ready {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn prepare_commit(&mut self, _checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<u64>>>> {
        match self.0 {
            Hang::Prepare => Ok(futures::future::pending().boxed()),
            _ => Ok(async { Ok(vec![1]) }.boxed()),
        }
    }
}

#[async_trait]
impl Committer<u64> for Stuck {
    async fn commit(&mut self, _committables: Vec<u64>) -> Result<()> {
        futures::future::pending().await
    }

    async fn recover(&mut self, _: AttemptId, _: Option<CheckpointId>) -> Result<()> {
        match self.0 {
            Hang::Recover => futures::future::pending().await,
            _ => Ok(()),
        }
    }
}

#[test]
fn a_job_whose_sink_hangs_can_be_cancelled() {
    for hang in [Hang::Ready, Hang::Prepare, Hang::Commit, Hang::Recover] {
        for parallelism in [1, 2] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            count_by_remainder(&env, u64::MAX, |_| {}, Stuck(hang));
            let handle = block_on(env.execute_async("test")).unwrap();
            wait_for(&handle, |status| {
                status.state == JobState::Running || (hang == Hang::Recover && status.attempt.0 > 0)
            });
            handle.cancel();
            assert_eq!(block_on(handle.wait()).unwrap_err().kind(), ErrorKind::Cancelled);
            assert_eq!(handle.status().state, JobState::Cancelled);
        }
    }
}

#[test]
fn a_job_can_be_cancelled_at_once_and_more_than_once() {
    let env = environment(2, MemoryCheckpointStorage::new());
    count_by_remainder(&env, u64::MAX, |_| {}, DiscardSink);
    let handle = block_on(env.execute_async("test")).unwrap();
    handle.cancel();
    handle.cancel();
    for _ in 0..2 {
        assert_eq!(block_on(handle.wait()).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
