//! Reads several runs of files as one.

use super::block::{Block, EntryPlace};
use super::resident::{BUFFER, Shared};
use super::sorted_file::{SortedFile, damaged};
use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

/// Files that follow each other in the order of their keys.
pub(super) type Run = Vec<Arc<SortedFile>>;

/// The entries of several runs in order; of several to one key that of the newest.
#[derive(Debug)]
pub(in crate::backend) struct Merged {
    /// From the newest to the oldest.
    readings: Vec<Reading>,
    /// The one whose entry was handed out last.
    current: Option<usize>,
    removed: Removed,
}

/// What is done with keys that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Removed {
    /// They are handed out without a value.
    Kept,
    /// They are left out, as there is nothing older that they hide.
    LeftOut,
}

/// A key with its value.
pub(in crate::backend) type EntryRef<'a> = (&'a [u8], Option<&'a [u8]>);

impl Merged {
    /// Begins at the first key that is not less than `from`, with runs from the newest to the oldest.
    ///
    /// Together they read about so many bytes at a time.
    pub(super) fn new(runs: Vec<Run>, from: &[u8], removed: Removed, reading: u64) -> io::Result<Self> {
        let read_bytes = (reading / runs.len().max(1) as u64).clamp(LEAST_READ, MOST_READ);
        let readings = runs.into_iter().map(|run| Reading::begin(run, from, read_bytes));
        Ok(Self {
            readings: readings.collect::<io::Result<_>>()?,
            current: None,
            removed,
        })
    }

    /// The next entry.
    pub(in crate::backend) fn next_entry(&mut self) -> io::Result<Option<EntryRef<'_>>> {
        loop {
            if let Some(current) = self.current.take() {
                self.readings[current].advance()?;
            }
            let Some(least) = self.least() else {
                return Ok(None);
            };
            self.skip_older(least)?;
            self.current = Some(least);
            if self.removed == Removed::Kept || self.readings[least].has_value() {
                return Ok(self.readings[least].entry());
            }
        }
    }

    /// The newest of those that stand at the least key.
    fn least(&self) -> Option<usize> {
        let mut least: Option<(usize, &Reading)> = None;
        for (index, reading) in self.readings.iter().enumerate() {
            if reading.at.is_some() && least.is_none_or(|(_, least)| reading.cmp(least) == Ordering::Less) {
                least = Some((index, reading));
            }
        }
        least.map(|(index, _)| index)
    }

    fn skip_older(&mut self, least: usize) -> io::Result<()> {
        let (newer, older) = self.readings.split_at_mut(least + 1);
        let key = &newer[least];
        for reading in older {
            if reading.at.is_some() && (*reading).cmp(key) == Ordering::Equal {
                reading.advance()?;
            }
        }
        Ok(())
    }
}

/// One of them reads at most so many, or one block that is longer, and not less than two blocks or so.
const MOST_READ: u64 = BUFFER as u64;
const LEAST_READ: u64 = 8 * 1024;

/// A run that is being read.
#[derive(Debug)]
struct Reading {
    files: std::vec::IntoIter<Arc<SortedFile>>,
    file: Option<Arc<SortedFile>>,
    /// How much is read at a time.
    read_bytes: u64,
    /// Some blocks of the file, the first of which is `first`.
    buffer: Vec<u8>,
    /// Where the buffer is from.
    shared: Option<Shared>,
    first: usize,
    blocks: usize,
    /// The block of the entry.
    block: usize,
    at: Option<EntryPlace>,
    /// Where the entries of the block end, and where the block begins in the buffer.
    end: usize,
    start: usize,
    /// The beginning of the key, as a number: it tells most keys apart.
    head: u64,
}

impl Reading {
    fn begin(run: Run, from: &[u8], read_bytes: u64) -> io::Result<Self> {
        let skipped = run.iter().take_while(|file| file.last() < from).count();
        let mut files = run.into_iter();
        let file = files.by_ref().nth(skipped);
        let block = file.as_ref().map_or(0, |file| file.block_of(from));
        let shared = file.as_ref().map(|file| file.shared().clone());
        let buffer = shared.as_ref().map(Shared::take_buffer);
        let mut reading = Self {
            files,
            file,
            read_bytes,
            buffer: buffer.unwrap_or_default(),
            shared,
            first: 0,
            blocks: 0,
            block,
            at: None,
            end: 0,
            start: 0,
            head: 0,
        };
        reading.enter_block()?;
        while reading.entry().is_some_and(|(key, _)| key < from) {
            reading.advance()?;
        }
        Ok(reading)
    }

    fn entry(&self) -> Option<EntryRef<'_>> {
        let at = self.at.as_ref()?;
        let block = &self.buffer[self.start..];
        Some((
            &block[at.key.clone()],
            at.value.clone().map(|value| &block[value]),
        ))
    }

    fn key(&self) -> Option<&[u8]> {
        self.entry().map(|(key, _)| key)
    }

    fn has_value(&self) -> bool {
        self.at.as_ref().is_some_and(|at| at.value.is_some())
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.head
            .cmp(&other.head)
            .then_with(|| self.key().cmp(&other.key()))
    }

    fn advance(&mut self) -> io::Result<()> {
        let Some(at) = &self.at else {
            return Ok(());
        };
        if at.next < self.end {
            let next = at.next;
            return self.enter(next);
        }
        self.block += 1;
        self.enter_block()
    }

    /// Stands at the first entry of the block, or of the next file behind the last.
    fn enter_block(&mut self) -> io::Result<()> {
        while self.file.as_ref().is_some_and(|file| self.block >= file.blocks()) {
            self.file = self.files.next();
            (self.block, self.first, self.blocks) = (0, 0, 0);
        }
        let Some(file) = self.file.clone() else {
            self.at = None;
            return Ok(());
        };
        if self.block >= self.first + self.blocks || self.block < self.first {
            self.fill(&file)?;
        }
        let (base, _) = file.span(self.first, self.first);
        let (from, to) = file.span(self.block, self.block + 1);
        self.start = (from - base) as usize;
        let bytes = &self.buffer[self.start..(to - base) as usize];
        self.end = Block::checked(bytes).ok_or_else(damaged)?.end();
        self.enter(0)
    }

    fn fill(&mut self, file: &SortedFile) -> io::Result<()> {
        self.first = self.block;
        let fits = |blocks: &usize| {
            let (from, to) = file.span(self.block, self.block + blocks);
            to - from <= self.read_bytes
        };
        self.blocks = (2..=file.blocks() - self.block)
            .take_while(fits)
            .last()
            .unwrap_or(1);
        let (from, to) = file.span(self.first, self.first + self.blocks);
        self.buffer.resize((to - from) as usize, 0);
        file.read(&mut self.buffer, from)
    }

    fn enter(&mut self, at: usize) -> io::Result<()> {
        let block = Block::trusted_until(&self.buffer[self.start..], self.end);
        let entry = block.entry(at).ok_or_else(damaged)?;
        let key = &self.buffer[self.start..][entry.key.clone()];
        let mut head = [0; 8];
        let len = key.len().min(8);
        head[..len].copy_from_slice(&key[..len]);
        self.head = u64::from_be_bytes(head);
        self.at = Some(entry);
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.give_buffer(std::mem::take(&mut self.buffer));
        }
    }
}
