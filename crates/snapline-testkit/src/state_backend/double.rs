//! A backend of encoded entries in ordered maps: sound, or with one flaw.
//!
//! It shares no code with the backends that the suite is for: its snapshots have a format of their own.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::poll_fn;
use snapline_core::{
    CheckpointId, Error, KeyGroup, KeyGroupRange, Result, decode, encode_into, stable_hash_bytes,
};
use snapline_state::{
    ByteTable, Conversion, EntryVisitor, HandleKind, KeyedStateBackend, Snapshot, SnapshotTarget,
    StateBackend, StateContext, StateHandle, StateLocation, TableId, TableMeta, TableRef,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// What a double does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    // Reading and writing.
    MissingIsZero,
    ClearDoesNothing,
    KeysAreTrimmed,
    OneMapForAllStates,
    ScanStopsAtThousand,
    ValuesAreNotReplaced,
    ManyAnswersLeaveOutMissing,
    // Snapshots.
    SnapshotReadsLate,
    OneFrozenStateAtATime,
    EmptySnapshotCannotBeRead,
    DeletesAreForgotten,
    LongValuesAreCut,
    OnlySixtyFourStates,
    DroppedSnapshotTakesTheState,
    FailedPersistTakesTheState,
    RefersToAllBefore,
    // Restoring.
    RestoresOnce,
    IgnoresKeyGroups,
    SnapshotsWhatWasAccessed,
    LosesUnclaimedStates,
    MatchesByPosition,
    TypesAreNotChecked,
    // Damage.
    SkipsChecksum,
    ShortFileIsCut,
    MissingFileIsEmpty,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Double(pub(super) Flaw);

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
type Tables = Vec<(TableMeta, Entries)>;
/// The same with the name, the version and the types of each.
type StoredTables = Vec<((String, u32, String, u32, String), Entries)>;

#[derive(Debug)]
struct Keyed {
    flaw: Flaw,
    tables: Arc<Mutex<Tables>>,
    deleted: Arc<Mutex<Tables>>,
    /// Where [`Flaw::OneFrozenStateAtATime`] keeps it.
    frozen: Arc<Mutex<Tables>>,
    /// What [`Flaw::RefersToAllBefore`] adds to every snapshot.
    persisted: Arc<Mutex<Vec<StateHandle>>>,
    accessed: BTreeSet<usize>,
    wanted: usize,
    key_groups: KeyGroupRange,
    open: Option<OpenTable>,
}

/// What [`KeyedStateBackend::table`] lends.
#[derive(Debug)]
struct OpenTable {
    flaw: Flaw,
    index: usize,
    tables: Arc<Mutex<Tables>>,
    deleted: Arc<Mutex<Tables>>,
}

#[async_trait]
impl StateBackend for Double {
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        let flaw = self.0;
        let mut tables: Tables = Vec::new();
        for spec in &context.tables {
            tables.push((spec.meta().clone(), Entries::new()));
        }
        let wanted = tables.len();
        for (number, handle) in context.restore.iter().enumerate() {
            if flaw == Flaw::RestoresOnce && number > 0 {
                break;
            }
            let bytes = read(flaw, handle, &context).await?;
            let stored: StoredTables = match decode(&bytes) {
                Err(_) if flaw == Flaw::ShortFileIsCut || flaw == Flaw::MissingFileIsEmpty => Vec::new(),
                stored => stored?,
            };
            for (position, ((name, version, key_type, key_version, value_type), entries)) in
                stored.into_iter().enumerate()
            {
                let meta = TableMeta {
                    name,
                    version,
                    key_type,
                    key_version,
                    value_type,
                    schema: None,
                };
                let mut index = tables.iter().position(|(known, _)| known.name == meta.name);
                if flaw == Flaw::MatchesByPosition && position < wanted {
                    index = Some(position);
                }
                let wanted = index.and_then(|index| context.tables.get(index));
                let conversion = match wanted {
                    Some(wanted) if flaw != Flaw::MatchesByPosition && flaw != Flaw::TypesAreNotChecked => {
                        let conversion = wanted.conversion(&meta);
                        conversion.map_err(|error| error.with("operator", &context.operator))?
                    }
                    _ => None,
                };
                if index.is_none() && flaw == Flaw::LosesUnclaimedStates {
                    continue;
                }
                let index = index.unwrap_or_else(|| {
                    tables.push((meta, Entries::new()));
                    tables.len() - 1
                });
                let own = |key: &[u8]| {
                    let group = context.max_parallelism.key_group(stable_hash_bytes(key));
                    context.key_groups.contains(group) || flaw == Flaw::IgnoresKeyGroups
                };
                let new_key = |key: Vec<u8>| match &conversion {
                    Some(conversion) => conversion.convert_key(&key).map(Cow::into_owned),
                    None => Ok(key),
                };
                for (key, value) in entries {
                    let key = new_key(key).map_err(|error| error.with("operator", &context.operator))?;
                    if !own(&key) {
                        continue;
                    }
                    let is_new = conversion.as_ref().is_some_and(Conversion::changes_keys);
                    if is_new && tables[index].1.contains_key(&key) {
                        return Err(Error::invalid("two keys have become the same")
                            .with("operator", &context.operator));
                    }
                    let converted = match &conversion {
                        Some(conversion) => conversion
                            .convert(&value)
                            .map_err(|error| error.with("operator", &context.operator))?
                            .map(Cow::into_owned),
                        None => Some(value),
                    };
                    tables[index].1.extend(converted.map(|value| (key, value)));
                }
            }
        }
        let deleted = tables
            .iter()
            .map(|(meta, _)| (meta.clone(), Entries::new()))
            .collect();
        Ok(Box::new(Keyed {
            flaw,
            tables: Arc::new(Mutex::new(tables)),
            deleted: Arc::new(Mutex::new(deleted)),
            frozen: Arc::default(),
            persisted: Arc::default(),
            accessed: BTreeSet::new(),
            wanted,
            key_groups: context.key_groups,
            open: None,
        }))
    }
}

async fn read(flaw: Flaw, handle: &StateHandle, context: &StateContext) -> Result<Bytes> {
    let read = handle.read(&*context.storage).await;
    let raw = match &handle.location {
        StateLocation::File { key, .. } => context.storage.get(key, None).await?,
        StateLocation::Inline(bytes) => Some(bytes.clone()),
        location => panic!("{location:?} is not known here"),
    };
    match (flaw, raw) {
        (Flaw::SkipsChecksum, Some(raw)) if raw.len() as u64 == handle.len => Ok(raw),
        (Flaw::ShortFileIsCut, Some(raw)) if (raw.len() as u64) < handle.len => Ok(raw),
        (Flaw::MissingFileIsEmpty, None) => Ok(Bytes::new()),
        _ => read,
    }
}

impl KeyedStateBackend for Keyed {
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>> {
        let index = usize::from(table.0);
        if index >= self.wanted {
            return Err(Error::internal("there is no such table"));
        }
        self.accessed.insert(index);
        let index = if self.flaw == Flaw::OneMapForAllStates {
            0
        } else {
            index
        };
        Ok(TableRef::Bytes(self.open.insert(OpenTable {
            flaw: self.flaw,
            index,
            tables: self.tables.clone(),
            deleted: self.deleted.clone(),
        })))
    }

    fn freeze(&mut self, _: CheckpointId, _: Option<CheckpointId>) -> Result<Box<dyn Snapshot>> {
        let mut moment = self.tables.lock().unwrap().clone();
        match self.flaw {
            Flaw::DeletesAreForgotten => {
                for ((_, entries), (_, deleted)) in moment.iter_mut().zip(&*self.deleted.lock().unwrap()) {
                    entries.extend(deleted.clone());
                }
            }
            Flaw::OnlySixtyFourStates => moment.truncate(64),
            Flaw::SnapshotsWhatWasAccessed => {
                let mut index = 0..;
                moment.retain(|_| index.next().is_some_and(|index| self.accessed.contains(&index)));
            }
            Flaw::LongValuesAreCut => {
                let values = moment.iter_mut().flat_map(|(_, entries)| entries.values_mut());
                values
                    .filter(|value| value.len() > 65_536)
                    .for_each(|value| value[3..].fill(b'x'));
            }
            Flaw::DroppedSnapshotTakesTheState | Flaw::FailedPersistTakesTheState => {
                self.frozen.lock().unwrap().clone_from(&moment);
            }
            Flaw::OneFrozenStateAtATime => *self.frozen.lock().unwrap() = std::mem::take(&mut moment),
            _ => {}
        }
        Ok(Box::new(Frozen {
            flaw: self.flaw,
            moment,
            live: self.tables.clone(),
            frozen: self.frozen.clone(),
            persisted: self.persisted.clone(),
            key_groups: self.key_groups,
            is_done: false,
        }))
    }
}

impl ByteTable for OpenTable {
    fn get(&mut self, _: KeyGroup, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.tables.lock().unwrap()[self.index]
            .1
            .get(self.key(key))
            .cloned();
        Ok(value.or((self.flaw == Flaw::MissingIsZero).then(|| vec![0])))
    }

    fn get_many(&mut self, keys: &[(KeyGroup, &[u8])]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut answers = Vec::new();
        for (group, key) in keys {
            answers.push(self.get(*group, key)?);
        }
        if self.flaw == Flaw::ManyAnswersLeaveOutMissing {
            answers.retain(Option::is_some);
        }
        Ok(answers)
    }

    fn put(&mut self, _: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
        let key = self.key(key);
        self.deleted.lock().unwrap()[self.index].1.remove(key);
        let entries = &mut self.tables.lock().unwrap()[self.index].1;
        if self.flaw == Flaw::ValuesAreNotReplaced {
            entries.entry(key.to_vec()).or_insert_with(|| value.to_vec());
        } else {
            entries.insert(key.to_vec(), value.to_vec());
        }
        Ok(())
    }

    fn delete(&mut self, _: KeyGroup, key: &[u8]) -> Result<()> {
        if self.flaw == Flaw::ClearDoesNothing {
            return Ok(());
        }
        let key = self.key(key);
        if let Some(value) = self.tables.lock().unwrap()[self.index].1.remove(key) {
            self.deleted.lock().unwrap()[self.index]
                .1
                .insert(key.to_vec(), value);
        }
        Ok(())
    }

    fn scan(&mut self, visit: EntryVisitor<'_>) -> Result<()> {
        let entries = self.tables.lock().unwrap()[self.index].1.clone();
        let most = if self.flaw == Flaw::ScanStopsAtThousand {
            1_000
        } else {
            usize::MAX
        };
        entries
            .iter()
            .take(most)
            .try_for_each(|(key, value)| visit(key, value))
    }

    fn scan_some(&mut self, place: &mut Vec<u8>, entries: usize, visit: EntryVisitor<'_>) -> Result<bool> {
        let all = self.tables.lock().unwrap()[self.index].1.clone();
        let from = match place.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(std::mem::take(place)),
        };
        let mut rest = all.range((from, Bound::Unbounded));
        for (key, value) in rest.by_ref().take(entries) {
            visit(key, value)?;
            place.clone_from(key);
        }
        Ok(rest.next().is_none())
    }
}

impl OpenTable {
    fn key<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        if self.flaw == Flaw::KeysAreTrimmed {
            key.trim_ascii_end()
        } else {
            key
        }
    }
}

struct Frozen {
    flaw: Flaw,
    moment: Tables,
    live: Arc<Mutex<Tables>>,
    frozen: Arc<Mutex<Tables>>,
    persisted: Arc<Mutex<Vec<StateHandle>>>,
    key_groups: KeyGroupRange,
    is_done: bool,
}

#[async_trait]
impl Snapshot for Frozen {
    async fn persist(mut self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        if self.flaw == Flaw::SnapshotReadsLate {
            yield_once().await;
            self.moment.clone_from(&self.live.lock().unwrap());
        }
        if self.flaw == Flaw::OneFrozenStateAtATime {
            self.moment.clone_from(&self.frozen.lock().unwrap());
        }
        let mut bytes = Vec::new();
        let is_empty = self.moment.iter().all(|(_, entries)| entries.is_empty());
        if !(is_empty && self.flaw == Flaw::EmptySnapshotCannotBeRead) {
            let parts = |meta: TableMeta| {
                (
                    meta.name,
                    meta.version,
                    meta.key_type,
                    meta.key_version,
                    meta.value_type,
                )
            };
            let stored = self
                .moment
                .iter()
                .map(|(meta, entries)| (parts(meta.clone()), entries.clone()));
            encode_into::<StoredTables>(&stored.collect(), &mut bytes)?;
        }
        let content = futures::stream::iter([Ok(bytes.into())]).boxed();
        let groups = Some(self.key_groups);
        let written = target.write("double", content, HandleKind::Full, groups).await;
        if written.is_err() && self.flaw == Flaw::FailedPersistTakesTheState {
            self.live
                .lock()
                .unwrap()
                .iter_mut()
                .for_each(|(_, entries)| entries.clear());
        }
        self.is_done = true;
        let handle = written?;
        if self.flaw == Flaw::RefersToAllBefore {
            let mut persisted = self.persisted.lock().unwrap();
            persisted.push(handle);
            return Ok(persisted.clone());
        }
        Ok(vec![handle])
    }
}

/// Lets the task go on.
async fn yield_once() {
    let mut is_first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.is_done && self.flaw == Flaw::DroppedSnapshotTakesTheState {
            self.live
                .lock()
                .unwrap()
                .iter_mut()
                .for_each(|(_, entries)| entries.clear());
        }
    }
}
