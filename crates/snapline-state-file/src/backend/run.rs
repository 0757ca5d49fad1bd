//! Changes in order, in a file: what a delta is made of.
//!
//! A change is the length of the key, the key, the length of the value and one, or 0 when the key was removed, and
//! the value; lengths are of 4 bytes, little-endian.

use super::change::Change;
use lsm_tree::Slice;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of changes; it is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    /// The batch whose changes they are.
    pub(super) batch: u64,
    pub(super) bytes: u64,
}

impl Run {
    /// Writes changes that are in order.
    pub(super) fn write(path: PathBuf, batch: u64, changes: &[Change]) -> io::Result<Self> {
        let mut run = Self {
            path,
            batch,
            bytes: 0,
        };
        let mut file = BufWriter::with_capacity(BUFFER, File::create(&run.path)?);
        for change in changes {
            write_part(&mut file, change.key.len() as u32, &change.key)?;
            match &change.value {
                Some(value) => write_part(&mut file, value.len() as u32 + 1, value)?,
                None => write_part(&mut file, 0, &[])?,
            }
            run.bytes += 8 + (change.key.len() + change.value.as_ref().map_or(0, |value| value.len())) as u64;
        }
        file.flush()?;
        Ok(run)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The changes of several runs in order; of several to one key that of the last run.
pub(super) struct Merged {
    /// From the newest to the oldest.
    runs: Vec<Reading>,
}

struct Reading {
    file: BufReader<File>,
    next: Option<Change>,
    _run: Arc<Run>,
}

impl Merged {
    /// Reads runs that are given from the oldest to the newest.
    pub(super) fn open(runs: Vec<Arc<Run>>) -> io::Result<Self> {
        let open = |run: Arc<Run>| {
            let mut file = BufReader::with_capacity(BUFFER, File::open(run.path())?);
            let next = read_change(&mut file)?;
            Ok(Reading {
                file,
                next,
                _run: run,
            })
        };
        let runs = runs.into_iter().rev().map(open).collect::<io::Result<_>>()?;
        Ok(Self { runs })
    }

    fn next_change(&mut self) -> io::Result<Option<Change>> {
        let keys = self.runs.iter().filter_map(|run| run.next.as_ref());
        let Some(least) = keys.map(|change| &change.key).min().cloned() else {
            return Ok(None);
        };
        let mut newest = None;
        for run in &mut self.runs {
            if run.next.as_ref().is_some_and(|change| change.key == least) {
                let change = run.next.take();
                newest = newest.or(change);
                run.next = read_change(&mut run.file)?;
            }
        }
        Ok(newest)
    }
}

impl Iterator for Merged {
    type Item = io::Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_change().transpose()
    }
}

const BUFFER: usize = 64 * 1024;

fn write_part(out: &mut impl Write, len: u32, part: &[u8]) -> io::Result<()> {
    out.write_all(&len.to_le_bytes())?;
    out.write_all(part)
}

fn read_change(file: &mut BufReader<File>) -> io::Result<Option<Change>> {
    let Some(len) = read_len(file)? else {
        return Ok(None);
    };
    let key = read_part(file, len)?;
    let len = read_len(file)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let value = match len.checked_sub(1) {
        Some(len) => Some(read_part(file, len)?),
        None => None,
    };
    Ok(Some(Change { key, value }))
}

/// A length, `None` at the end of the file.
fn read_len(file: &mut BufReader<File>) -> io::Result<Option<u32>> {
    let mut len = [0; 4];
    match file.read(&mut len[..1])? {
        0 => Ok(None),
        _ => {
            file.read_exact(&mut len[1..])?;
            Ok(Some(u32::from_le_bytes(len)))
        }
    }
}

fn read_part(file: &mut BufReader<File>, len: u32) -> io::Result<Slice> {
    Slice::from_reader(file, len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_changes_to_a_key_the_newest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let change = |(key, value): &(&str, Option<&str>)| Change {
            key: (*key).into(),
            value: value.map(Into::into),
        };
        let run = |batch: u64, changes: &[(&str, Option<&str>)]| {
            let changes: Vec<_> = changes.iter().map(change).collect();
            Arc::new(Run::write(folder.path().join(batch.to_string()), batch, &changes).unwrap())
        };
        let runs = vec![
            run(1, &[("a", Some("1")), ("b", Some("1")), ("d", None)]),
            run(2, &[]),
            run(3, &[("b", None), ("c", Some("")), ("d", Some("3"))]),
        ];
        let merged = Merged::open(runs).unwrap().map(Result::unwrap);
        let merged: Vec<_> = merged
            .map(|change| {
                let text = |slice: Slice| String::from_utf8(slice.to_vec()).unwrap();
                (text(change.key), change.value.map(text))
            })
            .collect();
        let expected = [("a", Some("1")), ("b", None), ("c", Some("")), ("d", Some("3"))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(merged, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
