//! Keys and values without the program.

use crate::arguments::Selection;
use crate::entries::{StateEntry, for_each_entry, selected};
use crate::hex::hex;
use crate::output::Output;
use crate::progress::Progress;
use crate::stop::{Outcome, Verdict};
use crate::subject::Subject;
use serde_json::{Map, Value};
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
    }
    Ok(Verdict::Fine)
}

/// `key` and `value`; `key_bytes` and `value_bytes` as hexadecimal digits where there is no schema.
fn explain(StateEntry { table, entry }: StateEntry<'_>, object: &mut Map<String, Value>) {
    for (name, bytes_name, bytes, value) in [
        ("key", "key_bytes", entry.key, key(table, entry.key)),
        ("value", "value_bytes", entry.value, value(table, entry.value)),
    ] {
        match value {
            Some(value) => object.insert(name.to_owned(), value),
            None => object.insert(bytes_name.to_owned(), hex(bytes).into()),
        };
    }
}

/// A key, if its schema is known.
pub(crate) fn key(table: &TableMeta, bytes: &[u8]) -> Option<Value> {
    table.schema.as_ref()?.key_to_json(bytes).ok()
}

/// A value, if its schema is known.
pub(crate) fn value(table: &TableMeta, bytes: &[u8]) -> Option<Value> {
    table.schema.as_ref()?.value_to_json(bytes).ok()
}
