//! Whether a checkpoint is what it should be.

use crate::entries::{Content, FileBlocks};
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Stop, Verdict};
use crate::subject::Subject;
use serde_json::json;
use snapline_coordinator::{CheckpointProof, verify_checkpoint};
use snapline_core::{Error, ErrorKind};
use snapline_state::{ChannelState, Entry, OperatorState, StateHandle, SubtaskState};

/// What is in the blocks of the files.
#[derive(Debug, Default)]
struct Blocks {
    blocks: u64,
    entries: u64,
    damage: Vec<Error>,
}

pub(crate) async fn verify(subject: &Subject, output: &mut Output) -> Outcome {
    // Once as files, once as blocks.
    let progress = Progress::new("verifying", &[subject], 2, output);
    let subject = &progress.watch(subject);
    let proof = verify_checkpoint(&*subject.storage, &subject.manifest).await?;
    let mut blocks = Blocks::default();
    // What is missing or altered as a whole was found already, and need not be told twice.
    if proof.damage.is_empty() {
        blocks.check(subject).await?;
    }
    let is_whole = proof.holds() && blocks.damage.is_empty();
    drop(progress);
    show(subject, &proof, &blocks, is_whole, output)?;
    Ok(match is_whole {
        true => Verdict::Fine,
        false => Verdict::NotWhole,
    })
}

impl Blocks {
    async fn check(&mut self, subject: &Subject) -> Outcome<()> {
        for (uid, operator) in &subject.manifest.operators {
            for (index, subtask) in operator.subtasks.iter().enumerate() {
                match self.check_subtask(subject, subtask).await {
                    Err(Stop::Failed(error)) if error.kind() != ErrorKind::Unavailable => {
                        self.damage
                            .push(error.with("operator", uid).with("subtask", index));
                    }
                    other => other?,
                }
            }
        }
        Ok(())
    }

    async fn check_subtask(&mut self, subject: &Subject, subtask: &SubtaskState) -> Outcome<()> {
        let storage = &*subject.storage;
        for handle in &subtask.keyed {
            self.check_tables(subject, handle).await?;
        }
        if let Some(handle) = &subtask.operator {
            OperatorState::decode(&handle.read(storage).await?)?;
        }
        if let Some(handle) = &subtask.channels {
            ChannelState::decode(&handle.read(storage).await?)?;
        }
        Ok(())
    }

    async fn check_tables(&mut self, subject: &Subject, handle: &StateHandle) -> Outcome<()> {
        let mut blocks = FileBlocks::of(&*subject.storage, handle)?;
        while let Some((_, content)) = blocks.next().await? {
            self.blocks += 1;
            match content {
                Content::Entries(payload) => {
                    for entry in Entry::iter(&payload) {
                        entry?;
                        self.entries += 1;
                    }
                }
                Content::Removed(payload) => Entry::removed(&payload).try_for_each(|key| key.map(drop))?,
            }
        }
        Ok(())
    }
}

fn show(
    subject: &Subject,
    proof: &CheckpointProof,
    blocks: &Blocks,
    is_whole: bool,
    output: &mut Output,
) -> Outcome<()> {
    let manifest = &subject.manifest;
    let damage = || proof.damage.iter().chain(&blocks.damage).map(Error::to_string);
    if output.is_json() {
        let cut = match &proof.cut {
            Ok(cut) => json!({
                "consistent": true, "tasks": cut.tasks, "channels": cut.channels, "clocks": cut.clocks,
                "recorded": cut.recorded,
            }),
            Err(violation) => json!({"consistent": false, "violation": violation.to_string()}),
        };
        let document = json!({
            "job": manifest.job, "checkpoint": manifest.checkpoint, "whole": is_whole, "cut": cut,
            "files": proof.files, "bytes": proof.bytes, "blocks": blocks.blocks, "entries": blocks.entries,
            "damage": damage().collect::<Vec<_>>(),
        });
        return Ok(output.json(&document)?);
    }
    output.line(&format!("checkpoint {} of {}", manifest.checkpoint, manifest.job))?;
    match &proof.cut {
        Ok(cut) => output.line(&format!(
            "cut      consistent: {} tasks, {} channels, {} vector clocks, {} batches in flight",
            cut.tasks, cut.channels, cut.clocks, cut.recorded
        ))?,
        Err(violation) => output.line(&format!("cut      NOT consistent: {violation}"))?,
    }
    output.line(&format!(
        "state    {} files, {} bytes, {} blocks, {} stored entries compared with their checksums",
        proof.files, proof.bytes, blocks.blocks, blocks.entries
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
