//! The sink that is checked, as all cases see it: with committables of bytes.

use super::Outcome;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, Result, decode, encode_into};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What the cases write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a sink under test makes a row of both")]
pub struct Record {
    /// Names the row, where a sink replaces rows. At most 63 bits.
    pub key: u64,
    /// What stands in it. At most 63 bits.
    pub value: u64,
}

/// What a sink promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a suite must know what to check")]
pub enum Guarantee {
    /// Each record is visible once, when its checkpoint is complete.
    ExactlyOnce,
    /// Each record is visible at once, and perhaps several times.
    AtLeastOnce,
    /// The newest record of each key is visible at once.
    Upsert,
}

pub(super) type Writer = Box<dyn SinkWriter<Record, Vec<u8>>>;
pub(super) type ByteCommitter = Box<dyn Committer<Vec<u8>>>;

/// A sink to which nothing was written yet.
#[derive(Clone)]
pub struct Subject {
    open: Arc<dyn Fn() -> Box<dyn ByteSink> + Send + Sync>,
    visible: Arc<dyn Fn() -> Vec<Record> + Send + Sync>,
    left_behind: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    guarantee: Guarantee,
}

impl Subject {
    /// A sink with committables. `open` makes it as another process would, and `visible` reads all records from
    /// outside, in any order.
    pub fn exactly_once<S: Sink<Record>>(
        open: impl Fn() -> S + Send + Sync + 'static,
        visible: impl Fn() -> Vec<Record> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Guarantee::ExactlyOnce, open, visible)
    }

    /// The same of a sink that writes at once.
    pub fn at_least_once<S: Sink<Record>>(
        open: impl Fn() -> S + Send + Sync + 'static,
        visible: impl Fn() -> Vec<Record> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Guarantee::AtLeastOnce, open, visible)
    }

    /// The same of a sink that keeps one row for each key.
    pub fn upsert<S: Sink<Record>>(
        open: impl Fn() -> S + Send + Sync + 'static,
        visible: impl Fn() -> Vec<Record> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Guarantee::Upsert, open, visible)
    }

    fn new<S: Sink<Record>>(
        guarantee: Guarantee,
        open: impl Fn() -> S + Send + Sync + 'static,
        visible: impl Fn() -> Vec<Record> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Arc::new(move || Box::new(Encoding(open()))),
            visible: Arc::new(visible),
            left_behind: Arc::new(Vec::new),
            guarantee,
        }
    }

    /// Says how to see what is outside and not visible, such as hidden files and open transactions, each by its
    /// name. There must be nothing of the kind when a job has recovered or come to its end.
    #[must_use]
    pub fn left_behind(self, list: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        Self {
            left_behind: Arc::new(list),
            ..self
        }
    }

    pub(super) fn open(&self) -> Box<dyn ByteSink> {
        (self.open)()
    }

    /// All visible records in order.
    pub(super) fn visible(&self) -> Vec<Record> {
        let mut records = (self.visible)();
        records.sort_unstable();
        records
    }

    /// Panics unless exactly these are visible.
    #[track_caller]
    pub(super) fn assert_visible(&self, expected: &[Record]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let visible = self.visible();
        let (seen, wanted) = (visible.len(), expected.len());
        assert!(
            visible == expected,
            "{seen} records are visible and {wanted} should be: {visible:?}"
        );
    }

    #[track_caller]
    pub(super) fn assert_nothing_left_behind(&self) {
        assert_eq!((self.left_behind)(), [""; 0], "something was left behind");
    }

    pub(super) fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Checks a sentence about sinks with committables.
    pub(super) fn if_exactly_once(&self, check: impl FnOnce()) -> Outcome {
        match self.guarantee {
            Guarantee::ExactlyOnce => {
                check();
                Outcome::Held
            }
            _ => Outcome::Skipped("the sink writes at once"),
        }
    }

    /// Checks a sentence about sinks without committables.
    pub(super) fn if_at_once(&self, check: impl FnOnce()) -> Outcome {
        match self.guarantee {
            Guarantee::ExactlyOnce => Outcome::Skipped("the sink writes in two phases"),
            _ => {
                check();
                Outcome::Held
            }
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("guarantee", &self.guarantee)
            .finish_non_exhaustive()
    }
}

/// A sink whose committables are encoded, as in a checkpoint.
pub(super) trait ByteSink: Send {
    fn writer(&self, context: WriterContext) -> Result<Writer>;
    fn committer(&self, context: CommitterContext) -> Result<ByteCommitter>;
    fn recovery_scope(&self) -> RecoveryScope;
}

struct Encoding<T>(T);

impl<S: Sink<Record>> ByteSink for Encoding<S> {
    fn writer(&self, context: WriterContext) -> Result<Writer> {
        Ok(Box::new(Encoding(self.0.writer(context)?)))
    }

    fn committer(&self, context: CommitterContext) -> Result<ByteCommitter> {
        Ok(Box::new(Encoding(self.0.committer(context)?)))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        self.0.recovery_scope()
    }
}

impl<C: Serialize + Send + 'static> SinkWriter<Record, Vec<u8>> for Encoding<Box<dyn SinkWriter<Record, C>>> {
    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        self.0.write(batch)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<Vec<u8>>>>> {
        let preparing = self.0.prepare_commit(checkpoint)?;
        let encoded = preparing.map(|prepared| prepared?.iter().map(encoded).collect());
        Ok(encoded.boxed())
    }
}

#[async_trait]
impl<C: DeserializeOwned + Send + 'static> Committer<Vec<u8>> for Encoding<Box<dyn Committer<C>>> {
    async fn commit(&mut self, committables: Vec<Vec<u8>>) -> Result<()> {
        let decoded = committables.iter().map(|bytes| decode(bytes));
        self.0.commit(decoded.collect::<Result<_>>()?).await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        self.0.recover(attempt, restored).await
    }
}

fn encoded<C: Serialize>(committable: &C) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_into(committable, &mut bytes)?;
    Ok(bytes)
}
