//! Parts for tests: an environment that cannot run anything, and ports that remember.

mod operator;

pub(crate) use operator::operator_context;

use crate::environment::{Components, StreamExecutionEnvironment};
use crate::job::{JobHandle, JobRunner};
use crate::link::{Link, Signal};
use crate::output::{OutputPort, PortSignal};
use crate::plan::JobGraph;
use async_trait::async_trait;
use snapline_core::{Batch, BoxedBatch, Error, JobSettings, Result, Watermark};
use snapline_state::{
    ByteStream, CheckpointStorage, Created, KeyedStateBackend, StateBackend, StateContext, StorageCapability,
    StorageKey, Stored,
};
use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Stands for every part of an environment and can do nothing.
#[derive(Debug)]
pub(crate) struct Nothing;

fn nothing<T>() -> Result<T> {
    Err(Error::unsupported("this part is not there in a test of plans"))
}

#[async_trait]
impl JobRunner for Nothing {
    async fn submit(&self, _job: JobGraph) -> Result<JobHandle> {
        nothing()
    }
}

#[async_trait]
impl StateBackend for Nothing {
    async fn open(&self, _context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        nothing()
    }
}

#[async_trait]
impl CheckpointStorage for Nothing {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }

    async fn create(&self, _key: &StorageKey, _bytes: bytes::Bytes) -> Result<Created> {
        nothing()
    }

    async fn put(&self, _key: &StorageKey, _content: ByteStream) -> Result<Stored> {
        nothing()
    }

    async fn get(&self, _key: &StorageKey, _range: Option<Range<u64>>) -> Result<Option<bytes::Bytes>> {
        nothing()
    }

    async fn list(&self, _prefix: &str, _after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        nothing()
    }

    async fn delete(&self, _keys: &[StorageKey]) -> Result<()> {
        nothing()
    }
}

pub(crate) fn environment(parallelism: u32) -> StreamExecutionEnvironment {
    let components = Components {
        storage: Arc::new(Nothing),
        backend: Arc::new(Nothing),
        runner: Arc::new(Nothing),
        savepoints: None,
    };
    StreamExecutionEnvironment::new(
        JobSettings {
            parallelism,
            ..JobSettings::default()
        },
        components,
    )
}

/// What a [`RecordingPort`] was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Batch(usize, Vec<u64>),
    ToAll(PortSignal),
}

/// A port that remembers what it was sent.
#[derive(Clone)]
pub(crate) struct RecordingPort {
    channels: usize,
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
}

impl RecordingPort {
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            channels,
            sent: Arc::default(),
        }
    }

    pub(crate) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

impl OutputPort for RecordingPort {
    fn channels(&self) -> usize {
        self.channels
    }

    fn send_batch(&mut self, channel: usize, mut batch: BoxedBatch) -> Option<BoxedBatch> {
        let typed = batch.as_any_mut().downcast_mut::<Batch<u64>>().unwrap();
        if let Some(hashes) = &typed.hashes {
            assert_eq!(hashes.len(), typed.records.len(), "a hash for each record");
        }
        if let Some(timestamps) = &typed.timestamps {
            let times: Vec<u64> = timestamps.iter().map(|at| at.0 as u64 / 10).collect();
            assert_eq!(
                times, typed.records,
                "the timestamp of each record, here ten times as large"
            );
        }
        let records = std::mem::take(&mut typed.records);
        typed.clear();
        self.sent.lock().unwrap().push(Sent::Batch(channel, records));
        Some(batch)
    }

    fn send_to_all(&mut self, message: PortSignal) {
        self.sent.lock().unwrap().push(Sent::ToAll(message));
    }

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a [`RecordingLink`] was handed, as text: records with their timestamps like `7@5`, watermarks like
/// `W4`, `idle`, `active`, `barrier`, `end`.
#[derive(Clone, Default)]
pub(crate) struct RecordingLink {
    handed: Arc<Mutex<Vec<String>>>,
}

impl RecordingLink {
    /// What has come since the last call, with a bar behind each batch.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.handed.lock().unwrap()).join(" ")
    }

    fn push(&self, text: impl Into<String>) {
        self.handed.lock().unwrap().push(text.into());
    }
}

impl<T: Debug> Link<T> for RecordingLink {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let timestamps = batch.timestamps.take();
        assert!(
            timestamps
                .as_ref()
                .is_none_or(|column| column.len() == batch.len())
        );
        for (index, record) in batch.records.drain(..).enumerate() {
            match &timestamps {
                Some(timestamps) => self.push(format!("{record:?}@{}", timestamps[index])),
                None => self.push(format!("{record:?}")),
            }
        }
        self.push("|");
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) if *watermark == Watermark::MAX => self.push("MAX"),
            Signal::Watermark(watermark) => self.push(format!("W{}", watermark.0)),
            Signal::Idle => self.push("idle"),
            Signal::Active => self.push("active"),
            Signal::Barrier(_) => self.push("barrier"),
            Signal::EndOfData => self.push("end"),
            _ => {}
        }
        Ok(())
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_advance(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
