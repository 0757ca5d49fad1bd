//! Whether a checkpoint is what it should be.

use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use futures::StreamExt;
use serde_json::{Value, json};
use snapline_coordinator::Manifest;
use snapline_core::{Error, ErrorKind, OperatorUid, Result};
use snapline_state::{
    Block, ChannelState, CheckpointStorage, Entry, HandleKind, OperatorState, StateHandle, StateLocation,
    read_blocks_of_all,
};
use std::collections::BTreeSet;

/// So many small pieces are read at the same time.
const AT_ONCE: usize = 8;

/// What is in the files.
#[derive(Debug, Default)]
struct Found {
    files: usize,
    bytes: u64,
    blocks: u64,
    entries: u64,
    damage: Vec<Error>,
}

/// What is proven of the snapshots of the tasks.
struct Cut {
    is_consistent: bool,
    line: String,
    json: Value,
}

/// A piece of state and whose it is.
#[derive(Clone, Copy)]
struct Piece<'a> {
    handle: &'a StateHandle,
    operator: &'a OperatorUid,
    subtask: usize,
}

pub(crate) async fn verify(subject: &Subject, output: &mut Output) -> Outcome {
    let progress = Progress::new("verifying", &[subject], 1, output);
    let subject = &progress.watch(subject);
    let cut = Cut::of(&subject.manifest);
    let mut found = Found::default();
    found.read(subject).await?;
    let is_whole = cut.is_consistent && found.damage.is_empty();
    drop(progress);
    show(subject, &cut, &found, is_whole, output)?;
    Ok(match is_whole {
        true => Verdict::Fine,
        false => Verdict::NotWhole,
    })
}

impl Cut {
    fn of(manifest: &Manifest) -> Self {
        match manifest.verify_cut() {
            Ok(cut) => Self {
                is_consistent: true,
                line: format!(
                    "cut      consistent: {} tasks, {} channels, {} vector clocks, {} batches in flight",
                    cut.tasks, cut.channels, cut.clocks, cut.recorded
                ),
                json: json!({
                    "consistent": true, "tasks": cut.tasks, "channels": cut.channels, "clocks": cut.clocks,
                    "recorded": cut.recorded,
                }),
            },
            Err(violation) => Self {
                is_consistent: false,
                line: format!("cut      NOT consistent: {violation}"),
                json: json!({"consistent": false, "violation": violation.to_string()}),
            },
        }
    }
}

impl Found {
    /// Reads everything once, also after something was found.
    async fn read(&mut self, subject: &Subject) -> Outcome<()> {
        let pieces = pieces(subject);
        self.files = subject.manifest.files().collect::<BTreeSet<_>>().len();
        self.bytes = pieces.iter().map(|piece| piece.handle.len).sum();
        let is_keyed = |piece: &Piece<'_>| matches!(piece.handle.kind, HandleKind::Full | HandleKind::Delta);
        let (keyed, others): (Vec<_>, Vec<_>) = pieces.into_iter().partition(is_keyed);
        self.read_tables(subject, &keyed).await?;
        self.read_whole(subject, &others).await
    }

    async fn read_tables(&mut self, subject: &Subject, pieces: &[Piece<'_>]) -> Outcome<()> {
        let handles = pieces.iter().map(|piece| piece.handle);
        let mut blocks = read_blocks_of_all(&*subject.storage, handles);
        let mut tables = BTreeSet::new();
        while let Some(block) = blocks.next().await {
            let checked = block.content.and_then(|content| match content {
                Block::Meta(table, _) => Ok(_ = tables.insert((block.file, table))),
                Block::Entries { table, .. } | Block::Removed { table, .. }
                    if !tables.contains(&(block.file, table)) =>
                {
                    Err(Error::corrupted("entries come before their table"))
                }
                Block::Entries { payload, .. } => self.count(&payload),
                Block::Removed { payload, .. } => {
                    self.blocks += 1;
                    Entry::removed(&payload).try_for_each(|key| key.map(drop))
                }
            });
            self.note(checked, pieces[block.file])?;
        }
        Ok(())
    }

    fn count(&mut self, payload: &[u8]) -> Result<()> {
        self.blocks += 1;
        for entry in Entry::iter(payload) {
            entry?;
            self.entries += 1;
        }
        Ok(())
    }

    async fn read_whole(&mut self, subject: &Subject, pieces: &[Piece<'_>]) -> Outcome<()> {
        let decoded = pieces.iter().map(|piece| decode(&*subject.storage, piece.handle));
        let mut decoded = futures::stream::iter(decoded).buffered(AT_ONCE).enumerate();
        while let Some((index, outcome)) = decoded.next().await {
            self.note(outcome, pieces[index])?;
        }
        Ok(())
    }

    /// Damage is told in the end; a storage that cannot be reached ends it all.
    fn note(&mut self, outcome: Result<()>, piece: Piece<'_>) -> Outcome<()> {
        match outcome {
            Err(error) if error.kind() != ErrorKind::Unavailable => {
                let error = error.with("operator", piece.operator);
                self.damage.push(error.with("subtask", piece.subtask));
            }
            outcome => outcome?,
        }
        Ok(())
    }
}

/// All pieces, those once that subtasks share.
fn pieces(subject: &Subject) -> Vec<Piece<'_>> {
    let mut seen = BTreeSet::new();
    let mut pieces = Vec::new();
    for (operator, stored) in &subject.manifest.operators {
        for (subtask, state) in stored.subtasks.iter().enumerate() {
            for handle in state.handles() {
                if let StateLocation::File { key, offset } = &handle.location
                    && !seen.insert((key, offset, handle.len, handle.checksum))
                {
                    continue;
                }
                pieces.push(Piece {
                    handle,
                    operator,
                    subtask,
                });
            }
        }
    }
    pieces
}

async fn decode(storage: &dyn CheckpointStorage, handle: &StateHandle) -> Result<()> {
    let bytes = handle.read(storage).await?;
    match handle.kind {
        HandleKind::OperatorState => OperatorState::decode(&bytes).map(drop),
        HandleKind::ChannelState => ChannelState::decode(&bytes).map(drop),
        kind => {
            Err(Error::unsupported("state of this kind cannot be read").with("kind", format!("{kind:?}")))
        }
    }
}

fn show(subject: &Subject, cut: &Cut, found: &Found, is_whole: bool, output: &mut Output) -> Outcome<()> {
    let manifest = &subject.manifest;
    let damage = || found.damage.iter().map(Error::to_string);
    if output.is_json() {
        let document = json!({
            "job": manifest.job, "checkpoint": manifest.checkpoint, "whole": is_whole, "cut": cut.json,
            "files": found.files, "bytes": found.bytes, "blocks": found.blocks, "entries": found.entries,
            "damage": damage().collect::<Vec<_>>(),
        });
        return Ok(output.json(&document)?);
    }
    output.line(&format!("checkpoint {} of {}", manifest.checkpoint, manifest.job))?;
    output.line(&cut.line)?;
    output.line(&format!(
        "state    {} files, {} bytes, {} blocks, {} stored entries compared with their checksums",
        found.files, found.bytes, found.blocks, found.entries
    ))?;
    for error in damage() {
        output.line(&format!("damage   {error}"))?;
    }
    output.line(match is_whole {
        true => "result   whole: a restore gives what the job had",
        false => "result   NOT whole: restore another checkpoint",
    })?;
    Ok(())
}
