//! A store in memory that does something wrong on purpose.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use snapline_testkit::fault::{Operation, Schedule};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

/// What the store does wrong.
#[derive(Debug, Clone)]
pub(crate) enum Flaw {
    None,
    IgnoresTheCondition,
    RefusesTheCondition,
    /// As many creates of a key as this do not see each other.
    LetsWin(usize),
    LosersReplace,
    NoOneWins,
    /// Requests fail and do nothing.
    Fails(Schedule),
    /// Requests are done and their answers lost.
    LosesAnswers(Schedule),
    /// Requests fail and the keys are to blame.
    RefusesCredentials,
    /// None, but a part is stored only when as many as this are in flight.
    PartsMeet(Arc<Barrier>),
    /// The object is replaced by this one after the first read of a part.
    ReplacedWhileRead(Bytes),
}

#[derive(Debug)]
pub(crate) struct Double {
    pub(crate) inner: InMemory,
    flaw: Mutex<Flaw>,
    creates: Mutex<HashMap<Path, usize>>,
    pub(crate) seen: Seen,
}

/// What has happened in the store.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) begun: AtomicUsize,
    pub(crate) completed: AtomicUsize,
    pub(crate) aborted: AtomicUsize,
    pub(crate) longest_read: AtomicUsize,
    pub(crate) parts: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
}

impl Double {
    pub(crate) fn with(flaw: Flaw) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            flaw: Mutex::new(flaw),
            creates: Mutex::default(),
            seen: Seen::default(),
        })
    }

    pub(crate) fn become_(&self, flaw: Flaw) {
        *self.flaw.lock().unwrap() = flaw;
    }

    /// For flaws without a schedule: a clone of that would count on its own.
    fn flaw(&self) -> Flaw {
        self.flaw.lock().unwrap().clone()
    }

    fn before(&self, operation: Operation) -> Result<()> {
        match &*self.flaw.lock().unwrap() {
            Flaw::Fails(schedule) if schedule.strikes(operation) => Err(out_of_reach()),
            Flaw::RefusesCredentials => Err(Error::PermissionDenied {
                path: String::new(),
                source: "status code: 403 Forbidden: InvalidAccessKeyId".into(),
            }),
            _ => Ok(()),
        }
    }

    fn after<T>(&self, operation: Operation, outcome: Result<T>) -> Result<T> {
        match &*self.flaw.lock().unwrap() {
            Flaw::LosesAnswers(schedule) if schedule.strikes(operation) => Err(out_of_reach()),
            _ => outcome,
        }
    }

    async fn create(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let overwrite = PutOptions::default();
        let taken = || Error::AlreadyExists {
            path: path.to_string(),
            source: "taken".into(),
        };
        let number = {
            let mut creates = self.creates.lock().unwrap();
            let number = creates.entry(path.clone()).or_default();
            *number += 1;
            *number
        };
        match self.flaw() {
            Flaw::IgnoresTheCondition => self.inner.put_opts(path, payload, overwrite).await,
            Flaw::RefusesTheCondition => Err(Error::NotImplemented {
                operation: "conditional put".into(),
                implementer: "a double".into(),
            }),
            Flaw::LetsWin(winners) if number <= winners => {
                self.inner.put_opts(path, payload, overwrite).await
            }
            Flaw::LosersReplace if number > 1 => {
                self.inner.put_opts(path, payload, overwrite).await?;
                Err(taken())
            }
            Flaw::NoOneWins => Err(taken()),
            _ => self.inner.put_opts(path, payload, options).await,
        }
    }
}

fn out_of_reach() -> Error {
    Error::Generic {
        store: "double",
        source: "the store was made to fail".into(),
    }
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("double")
    }
}

#[async_trait]
impl ObjectStore for Double {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_create = options.mode == PutMode::Create;
        let operation = if is_create {
            Operation::Create
        } else {
            Operation::Put
        };
        self.before(operation)?;
        // As a request that is under way: others come in between.
        tokio::task::yield_now().await;
        let outcome = match is_create {
            true => self.create(path, payload, options).await,
            false => self.inner.put_opts(path, payload, options).await,
        };
        self.after(operation, outcome)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before(Operation::Put)?;
        self.seen.begun.fetch_add(1, Ordering::SeqCst);
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.before(Operation::Get)?;
        let found = self.inner.get_opts(path, options).await?;
        let len = (found.range.end - found.range.start) as usize;
        self.seen.longest_read.fetch_max(len, Ordering::SeqCst);
        if let Flaw::ReplacedWhileRead(other) = self.flaw() {
            self.become_(Flaw::None);
            self.inner.put(path, other.into()).await?;
        }
        self.after(Operation::Get, Ok(found))
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if let Err(error) = self.before(Operation::Delete) {
            return futures::stream::iter([Err(error)]).boxed();
        }
        let lost = self.after(Operation::Delete, Ok(()));
        let deleted = self.inner.delete_stream(paths);
        let answer = futures::stream::iter(lost.err().map(Err));
        deleted.chain(answer).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let outcome = self.before(Operation::List);
        let listed = self.inner.list(prefix);
        // It fails at the end, when all has been seen.
        let failure = futures::stream::iter(outcome.err().map(Err));
        listed.chain(failure).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Double {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.before(Operation::Put)?;
        self.seen.begun.fetch_add(1, Ordering::SeqCst);
        self.inner.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let in_flight = self.seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        if let Flaw::PartsMeet(barrier) = self.flaw() {
            barrier.wait().await;
        }
        self.seen.parts.fetch_add(1, Ordering::SeqCst);
        let outcome = match self.before(Operation::Put) {
            Ok(()) => self.inner.put_part(path, id, number, data).await,
            Err(error) => Err(error),
        };
        self.seen.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.after(Operation::Put, outcome)
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.before(Operation::Put)?;
        self.seen.completed.fetch_add(1, Ordering::SeqCst);
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.before(Operation::Put)?;
        self.seen.aborted.fetch_add(1, Ordering::SeqCst);
        self.inner.abort_multipart(path, id).await
    }
}

/// All that is in the store, probes included.
pub(crate) fn paths(store: &InMemory) -> Vec<String> {
    let all = store.list(None).map_ok(|object| object.location.to_string());
    futures::executor::block_on(all.try_collect()).unwrap()
}
