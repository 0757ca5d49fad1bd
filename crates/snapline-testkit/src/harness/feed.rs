//! Where a harness puts the records that the operators are to read.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, SplitEnumerator,
};
use snapline_core::{Batch, CheckpointId, Data, Result, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Records that wait to be read.
pub(super) struct Feed<T> {
    waiting: Arc<Mutex<VecDeque<(T, Option<Timestamp>)>>>,
}

impl<T> Feed<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Arc::default(),
        }
    }

    pub(super) fn push(&self, record: T, timestamp: Option<Timestamp>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((record, timestamp));
    }

    fn pop(&self) -> Option<(T, Option<Timestamp>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self {
            waiting: self.waiting.clone(),
        }
    }
}

/// Reads a feed, one record at a time.
pub(super) struct FeedSource<T>(Feed<T>);

impl<T> FeedSource<T> {
    pub(super) fn new(feed: Feed<T>) -> Self {
        Self(feed)
    }
}

/// The feed itself: it has no positions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FeedSplit;

impl SourceSplit for FeedSplit {
    fn weight(&self) -> u64 {
        1
    }
}

impl<T: Data> Source for FeedSource<T> {
    type Item = T;
    type Split = FeedSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<FeedSplit>>> {
        Ok(Box::new(OneSplit))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, FeedSplit>>> {
        Ok(Box::new(FeedReader(self.0.clone())))
    }
}

struct OneSplit;

#[async_trait]
impl SplitEnumerator<FeedSplit> for OneSplit {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<FeedSplit>> {
        Ok(vec![FeedSplit])
    }
}

struct FeedReader<T>(Feed<T>);

impl<T: Data> SourceReader<T, FeedSplit> for FeedReader<T> {
    fn add_splits(&mut self, _: Vec<FeedSplit>) {}

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &mut Batch<T>,
        _limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let Some((record, timestamp)) = self.0.pop() else {
            return Poll::Pending;
        };
        batch.records.push(record);
        batch.timestamps = timestamp.map(|timestamp| vec![timestamp]);
        Poll::Ready(Ok(ReaderStatus::More))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<FeedSplit>> {
        Ok(vec![FeedSplit])
    }
}
