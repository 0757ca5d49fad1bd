//! A sink that a test opens and closes, and a look into what a checkpoint has stored.

use futures::executor::block_on;
use futures::future::BoxFuture;
use snapline::Result;
use snapline::connector::{
    Collected, CollectedPart, Committer, CommitterContext, Sink, SinkWriter, WriterContext,
};
use snapline::coordinator::Manifest;
use snapline::core::{Batch, CheckpointId, Data};
use snapline::prelude::*;
use snapline::state::CheckpointStorage;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Collects what it lets through.
pub(crate) struct ValveSink<T> {
    inner: CollectSink<T>,
    valve: Valve,
}

/// How many more batches a [`ValveSink`] lets through.
#[derive(Clone, Default)]
pub(crate) struct Valve(Arc<Mutex<Flow>>);

#[derive(Default)]
struct Flow {
    batches: usize,
    waiting: Vec<Waker>,
}

impl Valve {
    /// Lets so many batches through and no more.
    pub(crate) fn allow(&self, batches: usize) {
        let mut flow = self.0.lock().unwrap();
        flow.batches = batches;
        flow.waiting.drain(..).for_each(Waker::wake);
    }

    /// Lets everything through.
    pub(crate) fn open(&self) {
        self.allow(usize::MAX);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().unwrap().batches == 0
    }
}

impl<T: Data> ValveSink<T> {
    /// A sink that is closed.
    pub(crate) fn new() -> (Self, Valve, Collected<T>) {
        let (inner, collected) = CollectSink::new();
        let valve = Valve::default();
        let sink = Self {
            inner,
            valve: valve.clone(),
        };
        (sink, valve, collected)
    }
}

impl<T> Clone for ValveSink<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            valve: self.valve.clone(),
        }
    }
}

impl<T: Data> Sink<T> for ValveSink<T> {
    type Committable = CollectedPart<T>;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, CollectedPart<T>>>> {
        Ok(Box::new(ValveWriter {
            inner: self.inner.writer(context)?,
            valve: self.valve.clone(),
        }))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<CollectedPart<T>>>> {
        self.inner.committer(context)
    }
}

struct ValveWriter<T> {
    inner: Box<dyn SinkWriter<T, CollectedPart<T>>>,
    valve: Valve,
}

impl<T: Data> SinkWriter<T, CollectedPart<T>> for ValveWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let mut flow = self.valve.0.lock().unwrap();
        flow.batches = flow.batches.saturating_sub(1);
        drop(flow);
        self.inner.write(batch)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut flow = self.valve.0.lock().unwrap();
        if flow.batches > 0 {
            return Poll::Ready(Ok(()));
        }
        flow.waiting.push(cx.waker().clone());
        Poll::Pending
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<CollectedPart<T>>>>> {
        self.inner.prepare_commit(checkpoint)
    }
}

/// The newest manifest in a storage.
pub(crate) fn newest_manifest(storage: &impl CheckpointStorage) -> Manifest {
    let keys = block_on(storage.list("", None)).unwrap();
    let manifests = keys.iter().filter(|key| key.as_str().ends_with("/manifest.json"));
    let read = |key| block_on(storage.get(key, None)).unwrap();
    let manifests = manifests
        .filter_map(read)
        .map(|bytes| Manifest::decode(&bytes).unwrap());
    manifests.max_by_key(|manifest| manifest.checkpoint).unwrap()
}

/// For each operator towards which something was in flight, how many bytes.
pub(crate) fn in_flight(manifest: &Manifest) -> Vec<(String, u64)> {
    let bytes = |operator: &snapline::coordinator::OperatorManifest| {
        let channels = operator
            .subtasks
            .iter()
            .filter_map(|state| state.channels.as_ref());
        channels.map(|handle| handle.len).sum::<u64>()
    };
    let operators = manifest.operators.iter();
    operators
        .map(|(uid, operator)| (uid.to_string(), bytes(operator)))
        .filter(|(_, bytes)| *bytes > 0)
        .collect()
}
