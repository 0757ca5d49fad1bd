//! Takes entries that come in order, as those of a full snapshot do, straight to where they belong.

use super::Files;
use super::sorted_file::SortedFile;
use super::writer::FileWriter;
use std::io;
use std::sync::Arc;

/// Files that are being filled, and are seen when all are.
#[derive(Debug)]
pub(in crate::backend) struct Loading<'a> {
    files: &'a Files,
    level: usize,
    file_bytes: u64,
    /// Whether files begin anew with each table, the first bytes of a key: of two snapshots, that of one then has no keys
    /// between those of the other.
    are_of_tables: bool,
    writing: Option<FileWriter>,
    last: Vec<u8>,
    done: Vec<Arc<SortedFile>>,
}

/// So many files are filled, so that they are not too many however much is loaded.
const PARTS: u64 = 64;
/// And they are at least so long.
const LEAST_BYTES: u64 = 4 * 1024 * 1024;
const TABLE_LEN: usize = 2;

impl Files {
    /// Begins to load about so many bytes of so many snapshots.
    pub(in crate::backend) fn load(&self, snapshots: usize, bytes: u64) -> Loading<'_> {
        Loading {
            files: self,
            level: super::lock(&self.compaction).level_for(bytes),
            file_bytes: (bytes / PARTS).max(LEAST_BYTES),
            are_of_tables: snapshots > 1,
            writing: None,
            last: Vec::new(),
            done: Vec::new(),
        }
    }
}

impl Loading<'_> {
    /// Whether a key may come next.
    pub(in crate::backend) fn is_next(&self, key: &[u8]) -> bool {
        self.writing.is_none() || *self.last < *key
    }

    /// Writes the next entry.
    ///
    /// There are no filters: most keys that are looked for after a restore are there. Merges make some.
    pub(in crate::backend) fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let is_full = |writer: &FileWriter| writer.written() >= self.file_bytes;
        let is_other = self.are_of_tables && self.last.get(..TABLE_LEN) != key.get(..TABLE_LEN);
        if is_other || self.writing.as_ref().is_some_and(is_full) {
            self.end_file()?;
        }
        let writer = match &mut self.writing {
            Some(writer) => writer,
            none => none.insert(self.files.begin(None)?),
        };
        writer.push(key, Some(value))?;
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    /// What comes next need not follow.
    pub(in crate::backend) fn end_file(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writing.take() {
            self.done.push(writer.finish(&self.last)?);
        }
        Ok(())
    }

    /// Lets all be seen. Below files whose keys lie between those of others there can be none of the same level, so
    /// these are merged later.
    pub(in crate::backend) fn finish(mut self) -> io::Result<()> {
        self.end_file()?;
        let mut version = super::Version::clone(&self.files.version());
        self.done.sort_by(|a, b| a.first().cmp(b.first()));
        for file in self.done {
            let level = version.levels.get(self.level).and_then(|run| run.last());
            match level.is_none_or(|before| before.last() < file.first()) {
                true => version.push(Some(self.level), file),
                false => version.fresh.push(file),
            }
        }
        self.files.publish(version);
        Ok(())
    }
}
