//! What has changed from one checkpoint to another.

use crate::arguments::{DiffLimit, Selection};
use crate::command::export::{key, value};
use crate::entries::{StateEntry, for_each_entry, selected};
use crate::hex::hex;
use crate::operator_states::{ListKind, OperatorStates};
use crate::output::{Cell, Output, Section};
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use bytes::Bytes;
use serde_json::{Value, json};
use snapline_core::{OperatorUid, Result};
use snapline_state::TableMeta;
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
        self.operator_state(uid).await
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

    async fn operator_state(&mut self, uid: &OperatorUid) -> Outcome<()> {
        let selection = &self.limit.selection;
        let before = states(self.from, uid, selection).await?;
        let after = states(self.to, uid, selection).await?;
        self.lists(uid, &before, &after);
        self.maps(uid, &before, &after)
    }

    /// Lists have no keys: their items are there or not.
    fn lists(&mut self, uid: &OperatorUid, before: &OperatorStates, after: &OperatorStates) {
        let names: BTreeSet<_> = before.lists.keys().chain(after.lists.keys()).collect();
        for list in names {
            let (before, after) = (counts(before, list), counts(after, list));
            let all: BTreeSet<&[u8]> = before.keys().chain(after.keys()).copied().collect();
            let mut totals = Totals::default();
            for item in all {
                let count = |counts: &BTreeMap<&[u8], u64>| counts.get(item).copied().unwrap_or(0);
                let (before, after) = (count(&before), count(&after));
                totals.same += before.min(after);
                totals.removed += before.saturating_sub(after);
                totals.added += after.saturating_sub(before);
            }
            let (name, kind) = list;
            let kind = match kind {
                ListKind::Split => "list",
                ListKind::Union => "union list",
            };
            self.count(uid, &format!("{name} ({kind})"), &totals);
        }
    }

    /// One copy of each broadcast map.
    fn maps(&mut self, uid: &OperatorUid, before: &OperatorStates, after: &OperatorStates) -> Outcome<()> {
        let names: BTreeSet<&String> = before.maps.keys().chain(after.maps.keys()).collect();
        for name in names {
            let sides = [before.maps.get(name), after.maps.get(name)];
            let [was, is] = sides.map(|map| {
                map.and_then(|map| map.meta.clone())
                    .unwrap_or_else(|| nameless(name))
            });
            let [before, after] = sides.map(|map| map.map(|map| &map.entries));
            let both = before.into_iter().chain(after);
            let keys: BTreeSet<Bytes> = both.flat_map(BTreeMap::keys).cloned().collect();
            let mut totals = Totals::default();
            for key in keys {
                let before = before.and_then(|entries| entries.get(&key));
                let after = after.and_then(|entries| entries.get(&key));
                let change = match (before, after) {
                    (before, after) if before == after => {
                        totals.same += 1;
                        continue;
                    }
                    (None, _) => ("added", &mut totals.added),
                    (_, None) => ("removed", &mut totals.removed),
                    _ => ("changed", &mut totals.changed),
                };
                *change.1 += 1;
                let before = before.map(|value| (&was, &value[..]));
                self.show(
                    change.0,
                    uid,
                    &is,
                    &key,
                    before,
                    after.map(|value| (&is, &value[..])),
                )?;
            }
            self.count(uid, &format!("{name} (broadcast)"), &totals);
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

/// What a user wants to see of the operator state of an operator, which need not be there.
async fn states(subject: &Subject, uid: &OperatorUid, selection: &Selection) -> Result<OperatorStates> {
    let mut states = match subject.manifest.operators.get(uid) {
        Some(operator) => OperatorStates::read(&*subject.storage, operator).await?,
        None => OperatorStates::default(),
    };
    let is_wanted = |name: &String| selection.state.as_ref().is_none_or(|wanted| wanted == name);
    states.lists.retain(|(name, _), _| is_wanted(name));
    states.maps.retain(|name, _| is_wanted(name));
    Ok(states)
}

/// How often each item of a list is there.
fn counts<'a>(states: &'a OperatorStates, list: &(String, ListKind)) -> BTreeMap<&'a [u8], u64> {
    let mut counts = BTreeMap::new();
    let items = states.lists.get(list).map(|list| &list.items);
    for (_, item) in items.into_iter().flatten() {
        *counts.entry(&item[..]).or_default() += 1;
    }
    counts
}

/// A map of which nothing is known but the name.
fn nameless(name: &str) -> Arc<TableMeta> {
    Arc::new(TableMeta {
        name: name.to_owned(),
        version: 1,
        key_type: String::new(),
        key_version: 1,
        value_type: String::new(),
        schema: None,
    })
}
