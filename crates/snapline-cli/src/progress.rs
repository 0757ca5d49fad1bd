//! What is said on standard error: how far long work is, and what went wrong.

use crate::output::Output;
use crate::subject::Subject;
use async_trait::async_trait;
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use snapline_core::Result;
use snapline_state::{
    ByteStream, CheckpointStorage, Created, StateLocation, StorageCapability, StorageKey, Stored,
};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::sync::Arc;

const STYLE: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}";

/// A bar on a terminal that counts what is read; nothing elsewhere, and nothing when programs read the output.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing read yet of these, for a command that writes when it has read all of them `times`.
    pub(crate) fn new(what: &'static str, subjects: &[&Subject], times: u64, output: &Output) -> Self {
        match output.is_json() {
            true => Self::hidden(),
            false => Self::shown(what, subjects, times),
        }
    }

    /// The same for a command that writes while it reads: on the same terminal there is no room for a bar.
    pub(crate) fn beside_lines(what: &'static str, subjects: &[&Subject], output: &Output) -> Self {
        match std::io::stdout().is_terminal() {
            true => Self::hidden(),
            false => Self::new(what, subjects, 1, output),
        }
    }

    fn hidden() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar }
    }

    /// Not shown either when standard error is no terminal.
    fn shown(what: &'static str, subjects: &[&Subject], times: u64) -> Self {
        let bytes = subjects
            .iter()
            .map(|subject| bytes_in_files(subject))
            .sum::<u64>();
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(bytes.saturating_mul(times)), target);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar }
    }

    /// The same checkpoint; what is read of it moves the bar.
    pub(crate) fn watch(&self, subject: &Subject) -> Subject {
        Subject {
            storage: Arc::new(Watched {
                storage: subject.storage.clone(),
                bar: self.bar.clone(),
            }),
            path: subject.path.clone(),
            manifest: subject.manifest.clone(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bytes_in_files(subject: &Subject) -> u64 {
    let is_file = |location: &StateLocation| matches!(location, StateLocation::File { .. });
    let handles = subject.manifest.handles();
    handles
        .filter(|handle| is_file(&handle.location))
        .map(|handle| handle.len)
        .sum()
}

/// A storage whose reads move a bar.
#[derive(Debug)]
struct Watched {
    storage: Arc<dyn CheckpointStorage>,
    bar: ProgressBar,
}

#[async_trait]
impl CheckpointStorage for Watched {
    fn capability(&self) -> StorageCapability {
        self.storage.capability()
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.storage.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        self.storage.put(key, content).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let bytes = self.storage.get(key, range).await?;
        self.bar.inc(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
        Ok(bytes)
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.storage.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.storage.delete(keys).await
    }
}

/// One line. That nobody hears it does not matter.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
