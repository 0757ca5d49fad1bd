//! Removes what older attempts have left behind.

use crate::owner::Owner;
use crate::session::Session;
use serde::Deserialize;
use serde_json::json;
use snapline_core::{AttemptId, Result};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Listed {
    state: State,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

/// Removes the chunks that older attempts have staged. What a checkpoint has promised is published by then.
pub(super) async fn clean_up(
    session: &Session,
    owner: &Owner,
    older: impl Fn(AttemptId) -> bool,
) -> Result<()> {
    let (stream, all) = (owner.stream(), owner.staged(">"));
    // The server lists so many at a time; those that are removed make place for others.
    loop {
        let listed: Listed = session
            .ask(
                "what waits in the stream of the sink cannot be listed",
                format!("STREAM.INFO.{stream}"),
                &json!({ "subjects_filter": all }),
            )
            .await?;
        let subjects = listed.state.subjects.unwrap_or_default();
        let attempts = subjects.keys().filter_map(|subject| owner.staged_by(subject));
        let attempts: BTreeSet<_> = attempts.filter(|attempt| older(*attempt)).collect();
        if attempts.is_empty() {
            return Ok(());
        }
        for attempt in attempts {
            tracing::info!(stream, %attempt, "removing messages that belong to no checkpoint");
            session
                .purge(&stream, &owner.staged(&format!("{attempt}.>")))
                .await?;
        }
    }
}
