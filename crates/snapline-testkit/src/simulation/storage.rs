//! A checkpoint storage that outlives the process, answers late, and sometimes wrongly.

use super::fate::{Fate, Orphan, Trouble};
use super::time::Time;
use super::trace::Trace;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps the contract of [`CheckpointStorage`] and uses every freedom that it leaves: calls fail with
/// `Unavailable`, `create` and `delete` also after they have done their work, and what a process was asking
/// for when it was killed happens, or does not, or happens when the next process runs already.
///
/// A clone is another handle to the same objects.
#[derive(Debug, Clone)]
pub(crate) struct SimStorage {
    time: Arc<Time>,
    fate: Arc<Fate>,
    trace: Arc<Trace>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<StorageKey, Bytes>,
    /// Calls of the dead, by the time at which they take effect.
    orphans: BTreeMap<(u64, usize), Call>,
    newest: u64,
}

/// A call that changes something.
#[derive(Debug)]
enum Call {
    Create(StorageKey, Bytes),
    Put(StorageKey, Bytes),
    Delete(Vec<StorageKey>),
}

/// A call that is under way. What becomes of it when its caller dies is decided when it is dropped.
struct UnderWay<'a> {
    storage: &'a SimStorage,
    call: Option<Call>,
}

impl SimStorage {
    pub(crate) fn new(time: Arc<Time>, fate: Arc<Fate>, trace: Arc<Trace>) -> Self {
        Self {
            time,
            fate,
            trace,
            state: Arc::default(),
        }
    }

    /// The newest checkpoint that exists.
    pub(crate) fn newest_checkpoint(&self) -> u64 {
        self.state().newest
    }

    async fn change(&self, call: Call) -> Result<Created> {
        let trouble = self.fate.storage(!matches!(call, Call::Put(..)));
        let name = call.to_string();
        let mut under_way = UnderWay {
            storage: self,
            call: Some(call),
        };
        self.wait(trouble).await;
        if trouble == Some(Trouble::Fails) {
            under_way.call = None;
            return Err(self.refused(&name, "fails"));
        }
        let outcome = under_way.call.take().map(|call| self.state().apply(call));
        self.fate.on_moment();
        self.wait(None).await;
        if trouble == Some(Trouble::Lies) {
            return Err(self.refused(&name, "succeeds and says that it failed"));
        }
        Ok(outcome.unwrap_or(Created::New))
    }

    async fn read<T>(&self, name: &str, read: impl FnOnce(&State) -> T + Send) -> Result<T> {
        let trouble = self.fate.storage(false);
        self.wait(trouble).await;
        if trouble == Some(Trouble::Fails) {
            return Err(self.refused(name, "fails"));
        }
        Ok(read(&self.state()))
    }

    async fn wait(&self, trouble: Option<Trouble>) {
        let micros = self.fate.latency(trouble);
        self.time.sleep_micros(micros).await;
    }

    fn refused(&self, name: &str, how: &str) -> Error {
        self.trace.note("storage", || format!("{name} {how}"));
        Error::unavailable("the simulated storage did not answer").with("call", name)
    }

    /// The objects, after everything that is due has happened.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.orphans.is_empty() {
            return state;
        }
        let later = state.orphans.split_off(&(self.time.micros() + 1, 0));
        for call in std::mem::replace(&mut state.orphans, later).into_values() {
            self.trace
                .note("storage", || format!("{call} of a dead process happens"));
            let _ = state.apply(call);
        }
        state
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let (storage, fate) = (self.storage, self.storage.fate.orphan());
        let note = |when: &str| {
            storage
                .trace
                .note("storage", || format!("{call} was cut off and happens {when}"));
        };
        match fate {
            Orphan::Never => note("never"),
            Orphan::Now => {
                note("all the same");
                let _ = storage.state().apply(call);
            }
            Orphan::Later(micros) => {
                note("later");
                let mut state = storage.state();
                let order = state.orphans.len();
                state
                    .orphans
                    .insert((storage.time.micros() + micros, order), call);
            }
        }
    }
}

impl State {
    fn apply(&mut self, call: Call) -> Created {
        match call {
            Call::Create(key, bytes) => match self.objects.get(&key) {
                Some(taken) if *taken != bytes => return Created::AlreadyExists(taken.clone()),
                Some(_) => {}
                None => {
                    self.newest = self.newest.max(completed(&key, &bytes));
                    self.objects.insert(key, bytes);
                }
            },
            Call::Put(key, bytes) => _ = self.objects.insert(key, bytes),
            Call::Delete(keys) => keys.iter().for_each(|key| _ = self.objects.remove(key)),
        }
        Created::New
    }
}

/// The checkpoint that an epoch record stands for, 0 if it is none: the record names the manifest,
/// `{job}/checkpoint/a{attempt}-e{checkpoint}/manifest.json`.
fn completed(key: &StorageKey, bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let manifest = text
        .split_once("/manifest.json")
        .filter(|_| key.as_str().contains("/epoch/"));
    let number = manifest.and_then(|(before, _)| before.rsplit_once("-e"));
    number.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[async_trait]
impl CheckpointStorage for SimStorage {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        "simulation".to_owned()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.change(Call::Create(key.clone(), bytes)).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let pieces: Vec<Bytes> = content.try_collect().await?;
        let object = Bytes::from(pieces.concat());
        let stored = Stored {
            len: object.len() as u64,
            checksum: crc32c::crc32c(&object),
        };
        let _ = self.change(Call::Put(key.clone(), object)).await?;
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let object = self.read("get", |state| state.objects.get(key).cloned()).await?;
        Ok(object.map(|object| {
            let Range { start, end } = range.unwrap_or(0..u64::MAX);
            let end = end.min(object.len() as u64);
            object.slice(start.min(end) as usize..end as usize)
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let is_listed =
            |key: &&StorageKey| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after);
        self.read("list", |state| {
            state.objects.keys().filter(is_listed).cloned().collect()
        })
        .await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.change(Call::Delete(keys.to_vec())).await.map(|_| ())
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create(key, _) => write!(f, "create of {}", key.as_str()),
            Self::Put(key, _) => write!(f, "put of {}", key.as_str()),
            Self::Delete(keys) => write!(f, "delete of {} objects", keys.len()),
        }
    }
}
