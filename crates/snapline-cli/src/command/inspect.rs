//! What a checkpoint consists of.

use crate::arguments::Selection;
use crate::entries::{StateEntry, for_each_entry};
use crate::operator_states::OperatorStates;
use crate::output::{Cell, Output, Section};
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use crate::time::{seconds, utc};
use snapline_coordinator::{Manifest, OperatorManifest};
use snapline_core::OperatorUid;
use snapline_state::{ChannelState, Committable, StateHandle, StateLocation, TableMeta};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All tables of the report.
struct Report {
    operators: Section,
    states: Section,
    lists: Section,
    broadcast: Section,
    files: Section,
    channels: Section,
    committables: Section,
}

/// A state of an operator, over all subtasks.
struct Size {
    table: Arc<TableMeta>,
    entries: u64,
    bytes: u64,
}

pub(crate) async fn inspect(subject: &Subject, output: &mut Output) -> Outcome {
    let mut report = Report {
        operators: Section::new(
            "operators",
            &["operator", "name", "parallelism", "finished", "bytes"],
        ),
        states: Section::new(
            "states",
            &[
                "operator", "state", "key", "value", "version", "entries", "bytes", "schema",
            ],
        ),
        lists: Section::new(
            "lists",
            &["operator", "list", "kind", "item", "version", "items", "bytes"],
        ),
        broadcast: Section::new(
            "broadcast",
            &["operator", "map", "key", "value", "version", "entries", "bytes"],
        ),
        files: Section::new(
            "files",
            &[
                "operator",
                "subtask",
                "kind",
                "key_groups",
                "bytes",
                "origin",
                "file",
            ],
        ),
        channels: Section::new("channels", &["operator", "subtask", "from", "batches", "bytes"]),
        committables: Section::new(
            "committables",
            &["operator", "subtask", "checkpoint", "count", "bytes"],
        ),
    };
    let progress = Progress::new("reading", &[subject], 1, output);
    let subject = &progress.watch(subject);
    for (uid, operator) in &subject.manifest.operators {
        report.operator(uid, operator);
        report.states(subject, uid, operator).await?;
        report.operator_state(subject, uid, operator).await?;
        report.files(subject, uid, operator);
        report.channels(subject, uid, operator).await?;
    }
    report.committables(&subject.manifest);
    drop(progress);
    output.sections(&[
        head(subject),
        report.operators,
        report.states,
        report.lists,
        report.broadcast,
        report.files,
        report.channels,
        report.committables,
    ])?;
    Ok(Verdict::Fine)
}

fn head(subject: &Subject) -> Section {
    let manifest = &subject.manifest;
    let mut head = Section::new("checkpoint", &["property", "value"]);
    let parent = manifest
        .parent
        .map_or_else(|| "-".to_owned(), |parent| parent.to_string());
    let took = manifest.took().map_or_else(|| "-".to_owned(), seconds);
    let text = |value: &dyn std::fmt::Display| value.to_string();
    for (name, value) in [
        ("job", text(&manifest.job)),
        ("checkpoint", text(&manifest.checkpoint)),
        ("attempt", text(&manifest.attempt)),
        ("parent", parent),
        ("kind", Cell::word(serde_json::to_value(manifest.kind)).text()),
        ("alignment", format!("{:?}", manifest.alignment)),
        ("job ended", text(&manifest.finished)),
        ("created", utc(manifest.created)),
        ("took", took),
        ("max parallelism", text(&manifest.max_parallelism.get())),
        ("bytes", text(&manifest.sizes.total)),
        ("bytes written", text(&manifest.sizes.written)),
        ("path", text(&subject.path)),
    ] {
        head.push([name.into(), Cell::Text(value)]);
    }
    head
}

impl Report {
    fn operator(&mut self, uid: &OperatorUid, operator: &OperatorManifest) {
        let finished = operator.subtasks.iter().filter(|subtask| subtask.finished);
        self.operators.push([
            Cell::text_of(uid),
            operator.name.as_str().into(),
            Cell::Count(operator.parallelism.into()),
            Cell::Count(finished.count() as u64),
            Cell::Bytes(operator.subtasks.iter().map(|subtask| subtask.len()).sum()),
        ]);
    }

    async fn states(
        &mut self,
        subject: &Subject,
        uid: &OperatorUid,
        operator: &OperatorManifest,
    ) -> Outcome<()> {
        let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
        let max = subject.manifest.max_parallelism;
        let all = Selection::default();
        for_each_entry(
            &*subject.storage,
            max,
            operator,
            &all,
            &mut |found: StateEntry<'_>| {
                let bytes = (found.entry.key.len() + found.entry.value.len()) as u64;
                match sizes.get_mut(&found.table.name) {
                    Some(size) => {
                        size.entries += 1;
                        size.bytes += bytes;
                    }
                    None => {
                        let table = found.table.clone();
                        let entries = 1;
                        sizes.insert(
                            table.name.clone(),
                            Size {
                                table,
                                entries,
                                bytes,
                            },
                        );
                    }
                }
                Ok(())
            },
        )
        .await?;
        for Size {
            table,
            entries,
            bytes,
        } in sizes.into_values()
        {
            self.states.push([
                Cell::text_of(uid),
                table.name.as_str().into(),
                table.key_type.as_str().into(),
                table.value_type.as_str().into(),
                Cell::Count(table.version.into()),
                Cell::Count(entries),
                Cell::Bytes(bytes),
                if table.schema.is_some() {
                    "known"
                } else {
                    "unknown"
                }
                .into(),
            ]);
        }
        Ok(())
    }

    /// Of a broadcast map one copy is told.
    async fn operator_state(
        &mut self,
        subject: &Subject,
        uid: &OperatorUid,
        operator: &OperatorManifest,
    ) -> Outcome<()> {
        let states = OperatorStates::read(&*subject.storage, operator).await?;
        let text = |text: Option<&String>| text.map_or(Cell::None, Cell::text_of);
        let version =
            |meta: Option<&TableMeta>| meta.map_or(Cell::None, |meta| Cell::Count(meta.version.into()));
        for ((name, kind), list) in states.lists {
            let meta = list.meta.as_deref();
            self.lists.push([
                Cell::text_of(uid),
                Cell::Text(name),
                kind.word().into(),
                text(meta.map(|meta| &meta.value_type)),
                version(meta),
                Cell::Count(list.items.len() as u64),
                Cell::Bytes(list.bytes()),
            ]);
        }
        for (name, map) in states.maps {
            let meta = map.meta.as_deref();
            self.broadcast.push([
                Cell::text_of(uid),
                Cell::Text(name),
                text(meta.map(|meta| &meta.key_type)),
                text(meta.map(|meta| &meta.value_type)),
                version(meta),
                Cell::Count(map.entries.len() as u64),
                Cell::Bytes(map.bytes()),
            ]);
        }
        Ok(())
    }

    fn files(&mut self, subject: &Subject, uid: &OperatorUid, operator: &OperatorManifest) {
        for (index, subtask) in operator.subtasks.iter().enumerate() {
            for handle in subtask.handles() {
                let (origin, file) = origin(subject, handle);
                self.files.push([
                    Cell::text_of(uid),
                    Cell::Count(index as u64),
                    kind(handle),
                    handle.key_groups.map_or(Cell::None, Cell::text_of),
                    Cell::Bytes(handle.len),
                    Cell::Text(origin),
                    file,
                ]);
            }
        }
    }

    async fn channels(
        &mut self,
        subject: &Subject,
        uid: &OperatorUid,
        operator: &OperatorManifest,
    ) -> Outcome<()> {
        for (index, subtask) in operator.subtasks.iter().enumerate() {
            let Some(handle) = &subtask.channels else {
                continue;
            };
            let state = ChannelState::decode(&handle.read(&*subject.storage).await?)?;
            for channel in state.channels {
                self.channels.push([
                    Cell::text_of(uid),
                    Cell::Count(index as u64),
                    Cell::Text(format!("{}/{}", channel.origin.operator, channel.origin.subtask)),
                    Cell::Count(channel.batches.len() as u64),
                    Cell::Bytes(channel.batches.iter().map(|batch| batch.len() as u64).sum()),
                ]);
            }
        }
        Ok(())
    }

    /// What a restore commits first: of this checkpoint, and of earlier ones that were not confirmed.
    fn committables(&mut self, manifest: &Manifest) {
        for commit in manifest.commits_after(None) {
            let len = |committable: &Committable| committable.0.len() as u64;
            self.committables.push([
                Cell::text_of(&commit.operator),
                Cell::Count(commit.subtask.0.into()),
                Cell::Count(commit.checkpoint.0),
                Cell::Count(commit.committables.len() as u64),
                Cell::Bytes(commit.committables.iter().map(len).sum()),
            ]);
        }
    }
}

/// As it stands in the manifest.
fn kind(handle: &StateHandle) -> Cell {
    Cell::word(serde_json::to_value(handle.kind))
}

/// Whether a file was written for this checkpoint, or in the folder of which other one it is.
fn origin(subject: &Subject, handle: &StateHandle) -> (String, Cell) {
    let StateLocation::File { key, .. } = &handle.location else {
        return ("in the manifest".to_owned(), Cell::None);
    };
    let file = Cell::text_of(key);
    if key.as_str().starts_with(&format!("{}/", subject.path)) {
        return ("new".to_owned(), file);
    }
    let folder = key.as_str().split('/').nth(2).unwrap_or("?");
    (format!("inherited from {folder}"), file)
}
