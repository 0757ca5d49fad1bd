//! What the checkpoint folder of a job shows from outside.

use std::path::{Path, PathBuf};

/// The folder of the one job in a checkpoint folder.
///
/// Its layout: `attempt/7.json`, `epoch/12.json`, `checkpoint/a7-e12/...`, `committed/12.json`, with
/// numbers of twenty digits.
pub(crate) struct Checkpoints {
    job: PathBuf,
}

impl Checkpoints {
    /// The checkpoints of the example `wordcount`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            job: folder.join("wordcount"),
        }
    }

    /// How many attempts there were.
    pub(crate) fn newest_attempt(&self) -> u64 {
        self.newest("attempt")
    }

    /// The newest epoch record: of a checkpoint, or of a take-over.
    pub(crate) fn newest_epoch(&self) -> u64 {
        self.newest("epoch")
    }

    /// The newest completed checkpoint, if its epoch is the newest record.
    pub(crate) fn newest_is_completed(&self) -> Option<u64> {
        let epoch = self.newest_epoch();
        let text = std::fs::read_to_string(self.numbered("epoch", epoch)).ok()?;
        text.contains(&format!("-e{epoch}/manifest.json"))
            .then_some(epoch)
    }

    /// Whether state of a checkpoint is stored that does not exist yet.
    pub(crate) fn checkpoint_is_running(&self) -> bool {
        let attempt = self.newest_attempt();
        let folders = names(&self.job.join("checkpoint"));
        let running = folders
            .iter()
            .filter_map(|name| name.strip_prefix(&format!("a{attempt}-e")));
        let newest = running.filter_map(|id| id.parse::<u64>().ok()).max();
        newest.is_some_and(|id| !self.numbered("epoch", id).exists())
    }

    /// Whether a checkpoint exists whose output is not yet known to be visible.
    pub(crate) fn commit_is_pending(&self) -> bool {
        self.newest_is_completed()
            .is_some_and(|epoch| !self.numbered("committed", epoch).exists())
    }

    /// Folders of completed checkpoints, oldest first.
    pub(crate) fn completed(&self) -> Vec<PathBuf> {
        let mut found: Vec<(u64, PathBuf)> = names(&self.job.join("checkpoint"))
            .into_iter()
            .filter_map(|name| {
                Some((
                    name.split_once("-e")?.1.parse().ok()?,
                    self.job.join("checkpoint").join(&name),
                ))
            })
            .filter(|(id, folder)| {
                let record = std::fs::read_to_string(self.numbered("epoch", *id)).unwrap_or_default();
                let name = folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                record.contains(&format!("{name}/manifest.json"))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, folder)| folder).collect()
    }

    /// The record of an epoch.
    pub(crate) fn epoch_record(&self, epoch: u64) -> PathBuf {
        self.numbered("epoch", epoch)
    }

    fn newest(&self, kind: &str) -> u64 {
        let names = names(&self.job.join(kind));
        names
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .max()
            .unwrap_or(0)
    }

    fn numbered(&self, kind: &str, number: u64) -> PathBuf {
        self.job.join(kind).join(format!("{number:020}.json"))
    }
}

/// The names in a folder that may come and go meanwhile.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
