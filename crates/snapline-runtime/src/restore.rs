//! Dealing the state of a checkpoint out to the subtasks of now.

use crate::deploy::States;
use crate::finished::Finished;
use crate::in_flight::InFlight;
use snapline_coordinator::{Manifest, OperatorManifest};
use snapline_core::{CheckpointId, Error, Result, SubtaskIndex};
use snapline_dataflow::{JobGraph, JobNode, NodeFactory, NodeId, RestoredState};
use snapline_state::{CheckpointStorage, OperatorState, StateHandle};
use std::sync::Arc;

/// Checks that a checkpoint fits a job.
///
/// # Errors
/// `Invalid` saying what to change.
pub(crate) fn check_fits(job: &JobGraph, manifest: &Manifest) -> Result<()> {
    manifest.check_compatible(job.max_parallelism)?;
    if !manifest.finished {
        Finished::of(job, manifest)?;
    }
    if job.settings.allow_non_restored_state {
        return Ok(());
    }
    let is_gone = |uid: &&snapline_core::OperatorUid| job.nodes.iter().all(|node| node.uid != **uid);
    match manifest.operators.keys().find(is_gone) {
        None => Ok(()),
        Some(uid) => Err(Error::invalid(
            "the checkpoint has state of an operator that the program does not have; set the .uid(...) of the \
             operator that is to get it, or set allow_non_restored_state to drop it",
        )
        .with("operator", uid)
        .with("checkpoint", manifest.checkpoint)),
    }
}

/// What the tasks of a job begin with. `base` is the checkpoint, if later ones may refer to its files.
///
/// # Errors
/// What keeps a source from being found or state from being read, naming the operator.
pub(crate) async fn states_of_all(
    job: &JobGraph,
    manifest: Option<&Manifest>,
    storage: &dyn CheckpointStorage,
    base: Option<CheckpointId>,
) -> Result<States> {
    let in_flight = match manifest {
        Some(manifest) => InFlight::load(job, manifest, storage).await?,
        None => InFlight::default(),
    };
    let finished = match manifest {
        Some(manifest) => Finished::of(job, manifest)?,
        None => Finished::default(),
    };
    let mut operators = Vec::with_capacity(job.nodes.len());
    for (id, node) in (0..).map(NodeId).zip(&job.nodes) {
        if finished.contains(id) {
            operators.push(vec![RestoredState::default(); node.parallelism as usize]);
            continue;
        }
        let states = states_of(node, manifest, job, storage).await;
        let mut states = states.map_err(|error| error.with("operator", &node.node.name))?;
        states.iter_mut().for_each(|state| state.base = base);
        operators.push(states);
    }
    Ok(States {
        operators,
        in_flight,
        finished,
    })
}

/// Looks whether the sources still have what is to be read, and tells them where that begins.
///
/// # Errors
/// `Invalid` when a source is not what it was, naming the operator.
pub(crate) async fn verify_sources(job: &JobGraph, states: &States) -> Result<()> {
    for (id, node) in (0..).map(NodeId).zip(&job.nodes) {
        let NodeFactory::Source(source) = &node.node.factory else {
            continue;
        };
        if states.finished.contains(id) {
            continue;
        }
        let verified = source.verify(&of_readers(&states.operators[id.0])).await;
        verified.map_err(|error| error.with("operator", &node.node.name))?;
    }
    Ok(())
}

/// The states of the readers of a source.
pub(crate) fn of_readers(states: &[RestoredState]) -> Vec<&OperatorState> {
    states.iter().map(|state| &state.operator).collect()
}

async fn states_of(
    node: &JobNode,
    manifest: Option<&Manifest>,
    job: &JobGraph,
    storage: &dyn CheckpointStorage,
) -> Result<Vec<RestoredState>> {
    let parallelism = node.parallelism;
    let stored = manifest.and_then(|manifest| manifest.operators.get(&node.uid));
    let old = match stored {
        Some(stored) => operator_states(stored, storage).await?,
        None => Vec::new(),
    };
    let operator_of_all: Arc<[OperatorState]> = match &node.node.factory {
        NodeFactory::Operator(_) => old.as_slice().into(),
        _ => Arc::default(),
    };
    let operator = match &node.node.factory {
        NodeFactory::Source(source) if old.is_empty() => source.discover(parallelism).await?,
        NodeFactory::Source(source) => source.resume(old, parallelism)?,
        _ if old.is_empty() => no_states(parallelism),
        _ => OperatorState::redistribute(old, parallelism as usize),
    };
    let keyed_of_all: Arc<[StateHandle]> = stored
        .iter()
        .flat_map(|stored| &stored.subtasks)
        .flat_map(|subtask| &subtask.keyed)
        .cloned()
        .collect();
    let mut states = Vec::with_capacity(operator.len());
    for (index, operator) in (0..).zip(operator) {
        let keyed = stored.map_or_else(Vec::new, |stored| keyed_handles(stored, job, index, parallelism));
        states.push(RestoredState {
            keyed,
            keyed_of_all: keyed_of_all.clone(),
            operator,
            operator_of_all: operator_of_all.clone(),
            base: None,
        });
    }
    Ok(states)
}

fn no_states(parallelism: u32) -> Vec<OperatorState> {
    vec![OperatorState::new(); parallelism as usize]
}

async fn operator_states(
    stored: &OperatorManifest,
    storage: &dyn CheckpointStorage,
) -> Result<Vec<OperatorState>> {
    let mut states = Vec::with_capacity(stored.subtasks.len());
    for subtask in &stored.subtasks {
        states.push(match &subtask.operator {
            Some(handle) => OperatorState::decode(&handle.read(storage).await?)?,
            None => OperatorState::new(),
        });
    }
    replace_finished(stored, &mut states);
    Ok(states)
}

/// A subtask that had finished has left no broadcast maps, which were those of all. Its number gets them from one that had
/// not: records that are dealt out anew may come to it.
fn replace_finished(stored: &OperatorManifest, states: &mut [OperatorState]) {
    let is_finished = |index: usize| stored.subtasks[index].finished;
    let Some(donor) = (0..states.len()).find(|index| !is_finished(*index)) else {
        return;
    };
    let donor = states[donor].clone();
    for (index, state) in states.iter_mut().enumerate() {
        if is_finished(index) {
            state.adopt_broadcast(&donor);
        }
    }
}

/// The handles that may have entries of the key groups of a subtask.
fn keyed_handles(
    stored: &OperatorManifest,
    job: &JobGraph,
    index: u32,
    parallelism: u32,
) -> Vec<StateHandle> {
    let range = job.max_parallelism.range_of(SubtaskIndex(index), parallelism);
    let concerns = |handle: &&StateHandle| {
        handle
            .key_groups
            .is_none_or(|groups| !groups.intersection(range).is_empty())
    };
    let handles = stored.subtasks.iter().flat_map(|subtask| &subtask.keyed);
    handles.filter(concerns).cloned().collect()
}
