//! Another number of key groups.

use crate::arguments::{RescaleSavepoint, Selection};
use crate::command::copy::{free_target, state_folder, told};
use crate::entries::{StateEntry, Visitor, for_each_of_subtask, regroup};
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Stop};
use crate::subject::Subject;
use snapline_coordinator::{Manifest, SavepointTarget, copy_checkpoint, verify_checkpoint};
use snapline_core::{Codec, Error, KeyGroupRange, MaxParallelism, OperatorUid, Result, stable_hash_bytes};
use snapline_state::{
    BlockSender, BlockWriter, HandleKind, SnapshotTarget, StateHandle, SubtaskState, TableId, TableMeta,
    block_channel,
};
use std::collections::BTreeMap;
use std::task::{Context, Poll};

/// Writes a savepoint with all state of another one, whose key groups are of another maximum parallelism.
///
/// A key group holds the keys of a run of hashes, so the keys of a run of old groups are those of a run of new ones. Each
/// subtask's tables are written anew, as one full file without deltas, and the rest is copied.
pub(crate) async fn rescale(arguments: &RescaleSavepoint, output: &mut Output) -> Outcome {
    let max = MaxParallelism::new(arguments.max_parallelism)?;
    let from = Subject::savepoint(&arguments.from).await?;
    check(&from.manifest)?;
    let progress = Progress::new("rescaling", &[&from], 1, output);
    let from = progress.watch(&from);
    let target = free_target(&arguments.to).await?;
    let prefix = state_folder(&target.path, &from.manifest)?;
    let mut copy = copy_checkpoint(
        &without_keys(&from.manifest),
        &from.storage,
        &*target.storage,
        &prefix,
    )
    .await?;
    for (uid, operator) in &from.manifest.operators {
        for (index, subtask) in operator.subtasks.iter().enumerate() {
            let name = prefix.join(&format!("{uid}/{index}"))?;
            let name = SnapshotTarget::new(target.storage.clone(), name).compressed_by(Codec::default());
            let keyed = regrouped(&from, subtask, max, &name).await?;
            place(&mut copy, uid, index, keyed)?;
        }
    }
    copy.max_parallelism = max;
    let subtasks = copy.operators.values().flat_map(|operator| &operator.subtasks);
    copy.sizes.total = subtasks.map(SubtaskState::len).sum();
    drop(progress);
    prove(&target, &copy).await?;
    target.write_manifest(&copy).await?;
    told(&target, &copy, output)
}

/// Records in flight are dealt out to key groups as well, but only the program can read them.
fn check(manifest: &Manifest) -> Result<()> {
    let subtasks = manifest.operators.iter().flat_map(|(uid, operator)| {
        let states = operator.subtasks.iter();
        states.map(move |state| (uid, state))
    });
    match subtasks.into_iter().find(|(_, state)| state.channels.is_some()) {
        None => Ok(()),
        Some((uid, _)) => Err(Error::invalid(
            "there are records in flight, which only the program can deal out again; take a savepoint and rescale that",
        )
        .with("operator", uid)),
    }
}

fn without_keys(manifest: &Manifest) -> Manifest {
    let mut rest = manifest.clone();
    for operator in rest.operators.values_mut() {
        operator
            .subtasks
            .iter_mut()
            .for_each(|subtask| subtask.keyed.clear());
    }
    rest
}

/// The keyed state of one subtask as one file.
async fn regrouped(
    from: &Subject,
    subtask: &SubtaskState,
    max: MaxParallelism,
    target: &SnapshotTarget,
) -> Outcome<Vec<StateHandle>> {
    if subtask.keyed.is_empty() {
        return Ok(Vec::new());
    }
    let old = from.manifest.max_parallelism;
    let all = |range: Option<KeyGroupRange>, handle: &StateHandle| {
        let more = handle.key_groups.unwrap_or(old.full_range());
        Some(range.map_or(more, |range: KeyGroupRange| {
            KeyGroupRange::new(range.start().min(more.start()), range.end().max(more.end()))
        }))
    };
    let groups = subtask.keyed.iter().fold(None, all).unwrap_or(old.full_range());
    let (sender, receiver) = block_channel();
    let mut regrouping = Regrouping::new(sender, max);
    let groups = regroup(groups, old, max);
    let stored = target.write_blocks("keyed", receiver, HandleKind::Full, Some(groups));
    let all = Selection::default();
    // At the same time, so that no more than a few blocks wait to be stored.
    let read = async {
        let keyed = &subtask.keyed;
        for_each_of_subtask(&*from.storage, old, keyed, &all, &mut regrouping).await?;
        regrouping.writer.finish();
        Outcome::Ok(())
    };
    let (read, stored) = futures::join!(read, stored);
    read?;
    Ok(vec![stored?])
}

/// Writes entries under the key groups of another maximum parallelism.
struct Regrouping {
    writer: BlockWriter,
    tables: BTreeMap<String, TableId>,
    max: MaxParallelism,
    payload: Vec<u8>,
}

impl Regrouping {
    fn new(sender: BlockSender, max: MaxParallelism) -> Self {
        Self {
            writer: BlockWriter::new(sender),
            tables: BTreeMap::new(),
            max,
            payload: Vec::new(),
        }
    }

    fn table(&mut self, table: &TableMeta) -> Result<TableId> {
        if let Some(id) = self.tables.get(&table.name) {
            return Ok(*id);
        }
        let id = u16::try_from(self.tables.len()).map_err(|_| Error::internal("too many states"))?;
        self.writer.begin_table(TableId(id), table)?;
        self.tables.insert(table.name.clone(), TableId(id));
        Ok(TableId(id))
    }
}

impl Visitor for Regrouping {
    fn visit(&mut self, StateEntry { table, entry }: StateEntry<'_>) -> Outcome<()> {
        let id = self.table(table)?;
        self.payload.clear();
        entry.append(&mut self.payload);
        let group = self.max.key_group(stable_hash_bytes(entry.key)).0;
        self.writer
            .append(id, KeyGroupRange::new(group, group + 1), 1, &self.payload);
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.writer.sender().poll_room(cx)
    }
}

fn place(manifest: &mut Manifest, uid: &OperatorUid, subtask: usize, keyed: Vec<StateHandle>) -> Result<()> {
    let written: u64 = keyed.iter().map(|handle| handle.len).sum();
    let operator = manifest.operators.get_mut(uid);
    let Some(state) = operator.and_then(|operator| operator.subtasks.get_mut(subtask)) else {
        return Err(Error::internal("the copy of a manifest lacks a subtask").with("operator", uid));
    };
    state.keyed = keyed;
    manifest.sizes.written = manifest.sizes.written.saturating_add(written);
    Ok(())
}

/// What was written is read once more before it counts.
async fn prove(target: &SavepointTarget, manifest: &Manifest) -> Outcome<()> {
    let proof = verify_checkpoint(&*target.storage, manifest).await?;
    if let Err(violation) = &proof.cut {
        let error = Error::corrupted("the savepoint is no consistent cut; rescale another one");
        return Err(Stop::Failed(error.with("violation", violation)));
    }
    match proof.damage.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}
