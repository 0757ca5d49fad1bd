//! Another number of key groups.

use crate::arguments::{RescaleSavepoint, Selection};
use crate::command::copy::{free_target, state_folder, told};
use crate::entries::{StateEntry, for_each_of_subtask, regroup};
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Stop};
use crate::subject::Subject;
use snapline_coordinator::{Manifest, SavepointTarget, copy_checkpoint, verify_checkpoint};
use snapline_core::{Codec, Error, KeyGroupRange, MaxParallelism, OperatorUid, Result, stable_hash_bytes};
use snapline_state::{
    BlockWriter, HandleKind, SnapshotTarget, StateHandle, SubtaskState, TableId, block_channel,
};
use std::collections::BTreeMap;

/// Writes a savepoint with all state of another one, whose key groups are of another maximum parallelism.
///
/// A key group holds the keys of a run of hashes, so the keys of a run of old groups are those of a run of new ones. Each
/// subtask's tables are written anew, as one full file without deltas, and the rest is copied.
pub(crate) async fn rescale(arguments: &RescaleSavepoint, output: &mut Output) -> Outcome {
    let max = MaxParallelism::new(arguments.max_parallelism)?;
    let from = Subject::savepoint(&arguments.from).await?;
    check(&from.manifest)?;
    let target = free_target(&arguments.to).await?;
    let prefix = state_folder(&target.path, &from.manifest)?;
    let mut copy = copy_checkpoint(
        &without_keys(&from.manifest),
        &from.storage,
        &*target.storage,
        &prefix,
    )
    .await?;
    let mut progress = Progress::new("rescaling");
    for (uid, operator) in &from.manifest.operators {
        for (index, subtask) in operator.subtasks.iter().enumerate() {
            let name = prefix.join(&format!("{uid}/{index}"))?;
            let name = SnapshotTarget::new(target.storage.clone(), name).compressed_by(Codec::default());
            let keyed = regrouped(&from, subtask, max, &name, &mut progress).await?;
            place(&mut copy, uid, index, keyed)?;
        }
    }
    copy.max_parallelism = max;
    let subtasks = copy.operators.values().flat_map(|operator| &operator.subtasks);
    copy.sizes.total = subtasks.map(SubtaskState::len).sum();
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
    progress: &mut Progress,
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
    let mut writer = BlockWriter::new(sender);
    let mut tables: BTreeMap<String, TableId> = BTreeMap::new();
    let mut payload = Vec::new();
    let selection = Selection::default();
    for_each_of_subtask(&*from.storage, old, &subtask.keyed, &selection, &mut |found| {
        progress.step();
        let StateEntry { table, entry } = found;
        let id = match tables.get(&table.name) {
            Some(id) => *id,
            None => {
                let id =
                    TableId(u16::try_from(tables.len()).map_err(|_| Error::internal("too many states"))?);
                writer.begin_table(id, table)?;
                tables.insert(table.name.clone(), id);
                id
            }
        };
        payload.clear();
        entry.append(&mut payload);
        let group = max.key_group(stable_hash_bytes(entry.key)).0;
        writer.append(id, KeyGroupRange::new(group, group + 1), 1, &payload);
        Ok(())
    })
    .await?;
    writer.finish();
    let groups = regroup(groups, old, max);
    let stored = target.write_blocks("keyed", receiver, HandleKind::Full, Some(groups));
    Ok(vec![stored.await?])
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
