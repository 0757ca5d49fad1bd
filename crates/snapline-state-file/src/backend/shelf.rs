//! The files of subtasks as they were at their last checkpoints, for those who restore them on the same machine.
//!
//! A *set* is a folder of hard links to sorted files, so it takes no time to make and no room but for what was merged
//! since. A restart that finds the set of its checkpoint links the files again and opens them, whatever their size;
//! the checkpoint in the storage is for all others. Sets of a process that was killed are used until the machine
//! restarts: nothing of them is synced.

use super::files::Version;
use super::folder::{Folder, KEPT};
use serde::{Deserialize, Serialize};
use snapline_core::{CheckpointId, KeyGroupRange, decode, encode_into, stable_hash_bytes};
use snapline_state::{StateContext, StateHandle, TableMeta};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sets of all subtasks of a backend; clones are the same. They go with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Shelf(Arc<Mutex<Sets>>);

#[derive(Debug)]
struct Sets {
    root: PathBuf,
    /// Where this process puts sets; made for the first of them.
    own: Option<Folder>,
    /// Those that dead processes have left, once they were looked for.
    left: Option<Vec<Folder>>,
    sets: Vec<Set>,
    /// The number of the next set.
    next: u64,
}

#[derive(Debug)]
struct Set {
    folder: PathBuf,
    record: Record,
}

/// Whose set it is: of which subtask of which job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    storage: String,
    operator: String,
    key_groups: KeyGroupRange,
    /// Name, version and types of each table, by its id.
    tables: Vec<(String, u32, String, String)>,
}

/// What stands beside the files of a set.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// When the machine was started, as a name.
    boot: String,
    owner: Owner,
    checkpoint: CheckpointId,
    /// A hash of the handles of the checkpoint.
    handles: u64,
    /// The level and the length of each file; fresh ones have no level.
    files: Vec<(Option<u32>, u64)>,
}

/// A file of a set: its level, its length, and where it is.
pub(super) type KeptFile = (Option<usize>, u64, PathBuf);

/// More sets of one subtask are not kept, should no checkpoint complete.
const MOST_SETS: usize = 4;
const RECORD: &str = "set";

impl Owner {
    pub(super) fn new(context: &StateContext) -> Self {
        let of_table = |meta: &TableMeta| {
            let types = (meta.key_type.clone(), meta.value_type.clone());
            (meta.name.clone(), meta.version, types.0, types.1)
        };
        Self {
            storage: context.storage.location(),
            operator: context.operator.to_string(),
            key_groups: context.key_groups,
            tables: context.tables.iter().map(|spec| of_table(spec.meta())).collect(),
        }
    }

    /// Whether a set of the other one is in the way of this: the same state, at whatever parallelism.
    fn replaces(&self, other: &Self) -> bool {
        let (from, to) = (self.key_groups, other.key_groups);
        let overlaps = !from.intersection(to).is_empty();
        overlaps && (&self.storage, &self.operator) == (&other.storage, &other.operator)
    }
}

impl Shelf {
    /// Nothing yet, below this folder.
    pub(super) fn new(root: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(Sets {
            root,
            own: None,
            left: None,
            sets: Vec::new(),
            next: 0,
        })))
    }

    /// Keeps files as those of a checkpoint, of which a later one may build on `base`; sets that nobody needs go.
    /// That it cannot is no loss.
    pub(super) fn keep(
        &self,
        owner: &Owner,
        (checkpoint, base): (CheckpointId, Option<CheckpointId>),
        handles: &[StateHandle],
        version: &Version,
    ) {
        let mut sets = self.sets();
        match sets.add(owner, checkpoint, handles, version) {
            Ok(set) => sets.sets.push(set),
            Err(error) => tracing::debug!(%error, "files of live state are not kept for a restart"),
        }
        sets.thin_out(owner, base);
    }

    /// The files of the checkpoint that a subtask restores, if they were kept.
    pub(super) fn find(&self, owner: &Owner, context: &StateContext) -> Option<Vec<KeptFile>> {
        let handles = hash_of(&context.restore)?;
        let mut sets = self.sets();
        sets.look_for_left();
        let fits = |set: &Set| {
            let record = &set.record;
            Some(record.checkpoint) == context.base && record.handles == handles && record.owner == *owner
        };
        let found = sets.sets.iter().position(fits);
        let files = found.map(|found| sets.sets[found].files());
        // Whoever starts elsewhere, or at another parallelism, does not come back for the others.
        if files.is_none() {
            sets.remove(|set| owner.replaces(&set.record.owner));
        }
        files
    }

    /// Removes what was kept for a subtask: its files are damaged, or were not what they should be.
    pub(super) fn forget(&self, owner: &Owner) {
        self.sets().remove(|set| owner.replaces(&set.record.owner));
    }

    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    fn add(
        &mut self,
        owner: &Owner,
        checkpoint: CheckpointId,
        handles: &[StateHandle],
        version: &Version,
    ) -> io::Result<Set> {
        if self.own.is_none() {
            self.own = Some(Folder::create(&self.root, KEPT).map_err(io::Error::other)?);
        }
        let own = self.own.as_ref().map_or(&*self.root, Folder::path);
        let folder = own.join(self.next.to_string());
        self.next += 1;
        fs::create_dir(&folder)?;
        let files = version.link_to(&folder)?;
        let record = Record {
            boot: boot(),
            owner: owner.clone(),
            checkpoint,
            handles: hash_of(handles).ok_or(io::ErrorKind::InvalidData)?,
            files,
        };
        let mut bytes = Vec::new();
        encode_into(&record, &mut bytes).map_err(io::Error::other)?;
        fs::write(folder.join(RECORD), bytes)?;
        Ok(Set { folder, record })
    }

    /// Removes the sets of a subtask that are older than the one that later checkpoints build on.
    fn thin_out(&mut self, owner: &Owner, base: Option<CheckpointId>) {
        let mut ids: Vec<_> = self
            .sets
            .iter()
            .filter(|set| set.record.owner == *owner)
            .collect();
        ids.sort_by_key(|set| set.record.checkpoint);
        let newest = ids.len().saturating_sub(MOST_SETS);
        let least = ids.get(newest).map(|set| set.record.checkpoint).max(base);
        self.remove(|set| set.record.owner == *owner && Some(set.record.checkpoint) < least);
    }

    fn remove(&mut self, is_gone: impl Fn(&Set) -> bool) {
        self.sets.retain(|set| {
            if is_gone(set) {
                let _ = fs::remove_dir_all(&set.folder);
            }
            !is_gone(set)
        });
    }

    /// Takes over what dead processes have left, once.
    fn look_for_left(&mut self) {
        if self.left.is_some() {
            return;
        }
        let left = Folder::take_left(&self.root, KEPT).unwrap_or_default();
        let folders = left.iter().filter_map(|folder| fs::read_dir(folder.path()).ok());
        let folders = folders.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let sets = folders.filter_map(Set::read);
        let boot = boot();
        self.sets
            .extend(sets.filter(|set| !boot.is_empty() && set.record.boot == boot));
        self.left = Some(left);
    }
}

impl Set {
    fn read(folder: PathBuf) -> Option<Self> {
        let record = decode(&fs::read(folder.join(RECORD)).ok()?).ok()?;
        Some(Self { folder, record })
    }

    fn files(&self) -> Vec<KeptFile> {
        let files = self.record.files.iter().enumerate();
        files
            .map(|(number, (level, len))| {
                let path = self.folder.join(number.to_string());
                (level.map(|level| level as usize), *len, path)
            })
            .collect()
    }
}

fn hash_of(handles: &[StateHandle]) -> Option<u64> {
    let mut bytes = Vec::new();
    encode_into(handles, &mut bytes).ok()?;
    Some(stable_hash_bytes(&bytes))
}

/// What changes when the machine is started anew; empty where nobody tells.
fn boot() -> String {
    fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
