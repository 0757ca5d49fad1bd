//! What has changed from one checkpoint to another.

use crate::arguments::{DiffLimit, Selection};
use crate::command::export::{key, value};
use crate::entries::{StateEntry, for_each_entry, selected};
use crate::hex::hex;
use crate::output::{Cell, Output, Section};
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use serde_json::{Value, json};
use snapline_coordinator::OperatorManifest;
use snapline_core::{Error, OperatorUid, Result};
use snapline_state::{OperatorState, TableMeta};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The keys of a state and how they differ.
#[derive(Debug, Default)]
struct Totals {
    added: u64,
    removed: u64,
    changed: u64,
    same: u64,
}

/// The state of one operator in the older checkpoint: by its name, then by key.
type Older = BTreeMap<String, (Arc<TableMeta>, BTreeMap<Vec<u8>, Vec<u8>>)>;

/// Compares operator by operator. The older state of one is held in memory, the newer is read a file at a time.
struct Comparison<'a> {
    from: &'a Subject,
    to: &'a Subject,
    limit: &'a DiffLimit,
    output: &'a mut Output,
    shown: u64,
    differs: bool,
    totals: Section,
}

pub(crate) async fn diff(from: &Subject, to: &Subject, limit: &DiffLimit, output: &mut Output) -> Outcome {
    let progress = Progress::beside_lines("comparing", &[from, to], output);
    let mut comparison = Comparison {
        from: &progress.watch(from),
        to: &progress.watch(to),
        limit,
        output,
        shown: 0,
        differs: false,
        totals: Section::new(
            "totals",
            &["operator", "state", "added", "removed", "changed", "same"],
        ),
    };
    for uid in both(from, to, &limit.selection)? {
        comparison.operator(uid).await?;
    }
    comparison.finish()
}

/// The operators of either.
fn both<'a>(from: &'a Subject, to: &'a Subject, selection: &Selection) -> Result<BTreeSet<&'a OperatorUid>> {
    let sides = [
        selected(&from.manifest, selection),
        selected(&to.manifest, selection),
    ];
    if let [Err(error), Err(_)] = &sides {
        return Err(error.clone());
    }
    let found = sides.into_iter().flatten().flatten();
    Ok(found.map(|(uid, _)| uid).collect())
}

impl Comparison<'_> {
    async fn operator(&mut self, uid: &OperatorUid) -> Outcome<()> {
        let mut older = self.older(uid).await?;
        let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
        let max = self.to.manifest.max_parallelism;
        let (to, limit) = (self.to, self.limit);
        if let Some(operator) = to.manifest.operators.get(uid) {
            for_each_entry(
                &*to.storage,
                max,
                operator,
                &limit.selection,
                &mut |found: StateEntry<'_>| {
                    let (table, entry) = (found.table, found.entry);
                    let totals = totals.entry(table.name.clone()).or_default();
                    let before = older.get_mut(&table.name);
                    let before =
                        before.and_then(|(table, keys)| Some((table.clone(), keys.remove(entry.key)?)));
                    match before {
                        None => {
                            totals.added += 1;
                            self.show("added", uid, table, entry.key, None, Some((table, entry.value)))
                        }
                        Some((_, before)) if before == entry.value => {
                            totals.same += 1;
                            Ok(())
                        }
                        Some((was, before)) => {
                            totals.changed += 1;
                            let before = Some((&was, &before[..]));
                            self.show(
                                "changed",
                                uid,
                                table,
                                entry.key,
                                before,
                                Some((table, entry.value)),
                            )
                        }
                    }
                },
            )
            .await?;
        }
        for (name, (table, keys)) in older {
            let totals = totals.entry(name).or_default();
            for (key, before) in keys {
                totals.removed += 1;
                self.show("removed", uid, &table, &key, Some((&table, &before)), None)?;
            }
        }
        for (name, totals) in totals {
            self.count(uid, &name, &totals);
        }
        self.lists(uid).await
    }

    async fn older(&mut self, uid: &OperatorUid) -> Outcome<Older> {
        let mut older = Older::new();
        let Some(operator) = self.from.manifest.operators.get(uid) else {
            return Ok(older);
        };
        let max = self.from.manifest.max_parallelism;
        let storage = &*self.from.storage;
        for_each_entry(
            storage,
            max,
            operator,
            &self.limit.selection,
            &mut |found: StateEntry<'_>| {
                let (table, entry) = (found.table, found.entry);
                let keys = older
                    .entry(table.name.clone())
                    .or_insert_with(|| (table.clone(), BTreeMap::new()));
                keys.1.insert(entry.key.to_vec(), entry.value.to_vec());
                Ok(())
            },
        )
        .await?;
        Ok(older)
    }

    fn show(
        &mut self,
        change: &str,
        uid: &OperatorUid,
        table: &TableMeta,
        stored_key: &[u8],
        before: Option<(&Arc<TableMeta>, &[u8])>,
        after: Option<(&Arc<TableMeta>, &[u8])>,
    ) -> Outcome<()> {
        self.shown += 1;
        if self.shown > self.limit.limit {
            return Ok(());
        }
        let key = key(table, stored_key).unwrap_or_else(|| hex(stored_key).into());
        let side = |side: Option<(&Arc<TableMeta>, &[u8])>| {
            side.map(|(table, bytes)| value(table, bytes).unwrap_or_else(|| hex(bytes).into()))
        };
        let (before, after) = (side(before), side(after));
        if self.output.is_json() {
            return Ok(self.output.json(&json!({
                "change": change, "operator": uid.as_str(), "state": table.name,
                "key": key, "before": before, "after": after,
            }))?);
        }
        let what = match (before, after) {
            (Some(before), Some(after)) => format!("{before} -> {after}"),
            (Some(value), None) | (None, Some(value)) => value.to_string(),
            (None, None) => Value::Null.to_string(),
        };
        let sign = match change {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        Ok(self
            .output
            .line(&format!("{sign} {uid}/{}  {key}  {what}", table.name))?)
    }

    fn count(&mut self, uid: &OperatorUid, state: &str, totals: &Totals) {
        self.differs |= totals.added + totals.removed + totals.changed > 0;
        self.totals.push([
            Cell::text_of(uid),
            state.into(),
            Cell::Count(totals.added),
            Cell::Count(totals.removed),
            Cell::Count(totals.changed),
            Cell::Count(totals.same),
        ]);
    }

    /// Operator state has no keys: its items are there or not.
    async fn lists(&mut self, uid: &OperatorUid) -> Outcome<()> {
        if self.limit.selection.state.is_some() {
            return Ok(());
        }
        let (before, after) = (items(self.from, uid).await?, items(self.to, uid).await?);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let count = |items: &BTreeMap<String, BTreeMap<Vec<u8>, u64>>, item: &[u8]| {
                items
                    .get(name)
                    .and_then(|items| items.get(item))
                    .copied()
                    .unwrap_or(0)
            };
            let all: BTreeSet<&Vec<u8>> = [&before, &after]
                .into_iter()
                .filter_map(|side| side.get(name))
                .flat_map(BTreeMap::keys)
                .collect();
            let mut totals = Totals::default();
            for item in all {
                let (before, after) = (count(&before, item), count(&after, item));
                totals.same += before.min(after);
                totals.removed += before.saturating_sub(after);
                totals.added += after.saturating_sub(before);
            }
            self.count(uid, &format!("{name} (list)"), &totals);
        }
        Ok(())
    }

    fn finish(self) -> Outcome {
        let hidden = self.shown.saturating_sub(self.limit.limit);
        match self.output.is_json() {
            true => self.output.json(&json!({
                "totals": self.totals.json(), "differs": self.differs, "hidden": hidden,
            }))?,
            false => {
                if hidden > 0 {
                    self.output
                        .line(&format!("and {hidden} more; show them with --limit"))?;
                }
                if self.shown > 0 {
                    self.output.line("")?;
                }
                self.output.sections(&[self.totals])?;
            }
        }
        Ok(match self.differs {
            true => Verdict::NotWhole,
            false => Verdict::Fine,
        })
    }
}

/// By the name of the list, how often each item is there.
async fn items(
    subject: &Subject,
    uid: &OperatorUid,
) -> Result<BTreeMap<String, BTreeMap<Vec<u8>, u64>>, Error> {
    let mut all: BTreeMap<String, BTreeMap<Vec<u8>, u64>> = BTreeMap::new();
    let subtasks = |operator: &'_ OperatorManifest| operator.subtasks.clone();
    let subtasks = subject.manifest.operators.get(uid).map(subtasks);
    for handle in subtasks
        .into_iter()
        .flatten()
        .filter_map(|subtask| subtask.operator)
    {
        let state = OperatorState::decode(&handle.read(&*subject.storage).await?)?;
        for (name, items) in state.lists() {
            let counts = all.entry(name.to_owned()).or_default();
            for item in items {
                *counts.entry(item.to_vec()).or_default() += 1;
            }
        }
    }
    Ok(all)
}
