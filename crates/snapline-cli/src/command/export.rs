//! Keys and values without the program.

use crate::arguments::Selection;
use crate::entries::{StateEntry, for_each_entry, selected};
use crate::hex::hex;
use crate::operator_states::OperatorStates;
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use serde_json::{Map, Value};
use snapline_core::OperatorUid;
use snapline_state::TableMeta;

/// One JSON object for each entry.
pub(crate) async fn export(subject: &Subject, selection: &Selection, output: &mut Output) -> Outcome {
    let progress = Progress::beside_lines("exporting", &[subject], output);
    let subject = &progress.watch(subject);
    let max = subject.manifest.max_parallelism;
    for (uid, operator) in selected(&subject.manifest, selection)? {
        for_each_entry(
            &*subject.storage,
            max,
            operator,
            selection,
            &mut |entry: StateEntry<'_>| {
                let mut object = Map::new();
                object.insert("operator".to_owned(), uid.as_str().into());
                object.insert("state".to_owned(), entry.table.name.as_str().into());
                explain(entry, &mut object);
                Ok(output.json(&Value::Object(object))?)
            },
        )
        .await?;
        let states = OperatorStates::read(&*subject.storage, operator).await?;
        export_operator_state(uid, &states, selection, output)?;
    }
    Ok(Verdict::Fine)
}

/// One JSON object for each item of a list, and for each entry of one copy of a broadcast map.
fn export_operator_state(
    uid: &OperatorUid,
    states: &OperatorStates,
    selection: &Selection,
    output: &mut Output,
) -> Outcome<()> {
    let is_wanted = |name: &String| selection.state.as_ref().is_none_or(|wanted| wanted == name);
    for ((name, kind), list) in states.lists.iter().filter(|((name, _), _)| is_wanted(name)) {
        for (subtask, item) in &list.items {
            let mut object = Map::new();
            object.insert("operator".to_owned(), uid.as_str().into());
            object.insert("list".to_owned(), name.as_str().into());
            object.insert("kind".to_owned(), kind.word().into());
            object.insert("subtask".to_owned(), (*subtask).into());
            put(
                &mut object,
                "item",
                item,
                list.meta.as_deref().and_then(|meta| value(meta, item)),
            );
            output.json(&Value::Object(object))?;
        }
    }
    for (name, map) in states.maps.iter().filter(|(name, _)| is_wanted(name)) {
        let meta = map.meta.as_deref();
        for (stored_key, stored) in &map.entries {
            let mut object = Map::new();
            object.insert("operator".to_owned(), uid.as_str().into());
            object.insert("broadcast".to_owned(), name.as_str().into());
            put(
                &mut object,
                "key",
                stored_key,
                meta.and_then(|meta| key(meta, stored_key)),
            );
            put(
                &mut object,
                "value",
                stored,
                meta.and_then(|meta| value(meta, stored)),
            );
            output.json(&Value::Object(object))?;
        }
    }
    Ok(())
}

fn explain(StateEntry { table, entry }: StateEntry<'_>, object: &mut Map<String, Value>) {
    put(object, "key", entry.key, key(table, entry.key));
    put(object, "value", entry.value, value(table, entry.value));
}

/// `key`; or `key_bytes` as hexadecimal digits where there is no schema.
fn put(object: &mut Map<String, Value>, name: &str, bytes: &[u8], value: Option<Value>) {
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.insert(format!("{name}_bytes"), hex(bytes).into()),
    };
}

/// A key, if its schema is known.
pub(crate) fn key(table: &TableMeta, bytes: &[u8]) -> Option<Value> {
    table.schema.as_ref()?.key_to_json(bytes).ok()
}

/// A value, if its schema is known.
pub(crate) fn value(table: &TableMeta, bytes: &[u8]) -> Option<Value> {
    table.schema.as_ref()?.value_to_json(bytes).ok()
}
