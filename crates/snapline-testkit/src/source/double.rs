//! A source of numbers with what is upstream of it, that can be given one flaw.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    DiscoveredSplits, DiscoveryContext, ReaderContext, ReaderStatus, SeenSplits, Source, SourceReader,
    SourceSplit, SplitEnumerator,
};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    AcceptsAll,
    AcknowledgesAllThatWasRead,
    AcknowledgesAtSnapshot,
    AcknowledgesOldestSnapshotOnly,
    ClearsBatch,
    EndIsFinal,
    EndsOnce,
    EndsWithRecords,
    FindsAgain,
    FindsOverlappingSplits,
    FinishesTwice,
    FinishesEarly,
    ForgetsOtherSplits,
    HangsWithoutSplits,
    IgnoresLimit,
    LosesLastSplit,
    NamesFirstSplit,
    NeverAcknowledges,
    PausedAreNotInSnapshot,
    PositionsAreOfTheProcess,
    ReadsPausedSplits,
    RefusesProgress,
    RereadsInAnotherOrder,
    SnapshotHasFinishedSplits,
    SnapshotIsOfFirstReader,
    SnapshotReadsAhead,
    SnapshotTakesSplits,
    ResumesRelatively,
}

/// So many numbers in each of some parts, which are the splits.
#[derive(Debug, Clone)]
pub(super) struct Double {
    flaw: Option<Flaw>,
    parts: u64,
    size: u64,
    upstream: Arc<Mutex<Upstream>>,
}

#[derive(Debug, Default)]
struct Upstream {
    /// For each part, the first number that is kept.
    kept: BTreeMap<u64, u64>,
    positions: BTreeMap<u64, u64>,
    readings: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    first: u64,
    next: u64,
    end: u64,
}

impl SourceSplit for Part {
    fn weight(&self) -> u64 {
        self.end - self.next
    }
}

impl Double {
    pub(super) fn new(flaw: Option<Flaw>, parts: u64, size: u64) -> Self {
        let upstream = Arc::default();
        Self {
            flaw,
            parts,
            size,
            upstream,
        }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        let kept = &self.upstream().kept;
        kept.iter().map(|(first, next)| next - first).sum()
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn upstream(&self) -> MutexGuard<'_, Upstream> {
        self.upstream.lock().unwrap()
    }

    fn acknowledge(&self, positions: &[(u64, u64)]) {
        let mut upstream = self.upstream();
        for (first, next) in positions {
            let kept = upstream.kept.entry(*first).or_insert(*first);
            *kept = (*kept).max(*next);
        }
    }
}

impl Source for Double {
    type Item = u64;
    type Split = Part;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<Part>>> {
        Ok(Box::new(self.clone()))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<u64, Part>>> {
        self.upstream().readings += 1;
        Ok(Box::new(Reader {
            number: self.upstream().readings,
            source: self.clone(),
            subtask: context.subtask.0,
            parts: Vec::new(),
            paused: Vec::new(),
            current: None,
            finished: Vec::new(),
            has_ended: false,
            snapshots: Vec::new(),
        }))
    }
}

#[async_trait]
impl SplitEnumerator<Part> for Double {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<Part>> {
        let overlap = u64::from(self.has(Flaw::FindsOverlappingSplits));
        let found = self.parts - u64::from(self.has(Flaw::LosesLastSplit));
        let part = |number| Part {
            first: number * self.size,
            next: number * self.size,
            end: (number + 1) * self.size + overlap,
        };
        Ok((0..found).map(part).collect())
    }

    async fn discover_new(
        &mut self,
        context: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<Part>> {
        let mut splits = self.discover(context).await?;
        splits.retain(|part| seen.insert(part.first.to_le_bytes()) || self.has(Flaw::FindsAgain));
        Ok(DiscoveredSplits::so_far(splits))
    }

    async fn verify(&mut self, restored: &[Part]) -> Result<()> {
        let is_other =
            |part: &&Part| !part.end.is_multiple_of(self.size) || part.end > self.parts * self.size;
        let refused = |part: &&Part| match self.flaw {
            Some(Flaw::AcceptsAll) => false,
            Some(Flaw::RefusesProgress) => part.next > part.first,
            Some(Flaw::FindsOverlappingSplits) => false,
            _ => is_other(part),
        };
        match restored.iter().find(refused) {
            Some(_) => Err(Error::invalid("the source has changed")),
            None => Ok(()),
        }
    }
}

struct Reader {
    number: u64,
    source: Double,
    subtask: u32,
    /// All parts that were added, read or not.
    parts: Vec<Part>,
    paused: Vec<usize>,
    current: Option<usize>,
    finished: Vec<usize>,
    has_ended: bool,
    snapshots: Vec<(CheckpointId, Vec<(u64, u64)>)>,
}

impl Reader {
    fn has(&self, flaw: Flaw) -> bool {
        self.source.has(flaw)
    }

    fn positions(&self) -> Vec<(u64, u64)> {
        self.parts.iter().map(|part| (part.first, part.next)).collect()
    }

    /// The next part to be read, and whether there are others that wait.
    fn choose(&self) -> (Option<usize>, bool) {
        let left = |index: &usize| self.parts[*index].weight() > 0;
        let may_read = |index: &usize| self.has(Flaw::ReadsPausedSplits) || !self.paused.contains(index);
        let mut all = (0..self.parts.len()).filter(left);
        let chosen = all.clone().find(may_read);
        (chosen, all.next().is_some())
    }

    fn read(&mut self, index: usize, limit: usize) -> Result<Vec<u64>> {
        let part = self.parts[index].clone();
        if self
            .source
            .upstream()
            .kept
            .get(&part.first)
            .is_some_and(|kept| part.next < *kept)
        {
            return Err(Error::invalid("the record was acknowledged and is gone"));
        }
        let is_odd = self.number.is_multiple_of(2) && self.has(Flaw::RereadsInAnotherOrder);
        let limit = if self.has(Flaw::IgnoresLimit) {
            limit + 1
        } else {
            limit
        };
        let count = part.weight().min(limit as u64);
        let number = |at: u64| match is_odd {
            true => part.first + part.end - 1 - at,
            false => at,
        };
        let records = (part.next..part.next + count).map(number).collect();
        self.parts[index].next += count;
        self.current = Some(if self.has(Flaw::NamesFirstSplit) { 0 } else { index });
        let left = self.parts[index].weight();
        let is_early = self.has(Flaw::FinishesEarly) && left > 0 && !self.finished.contains(&index);
        if left == 0 || is_early {
            self.finished.push(index);
        }
        if left == 0 && self.has(Flaw::FinishesTwice) {
            self.finished.push(index);
        }
        Ok(records)
    }
}

impl SourceReader<u64, Part> for Reader {
    fn add_splits(&mut self, splits: Vec<Part>) {
        if self.has(Flaw::ForgetsOtherSplits) {
            self.parts.iter_mut().for_each(|part| part.next = part.end);
        }
        for mut part in splits {
            if self.has(Flaw::PositionsAreOfTheProcess) {
                let positions = &self.source.upstream().positions;
                part.next = positions.get(&part.first).copied().unwrap_or(part.first);
            }
            if self.has(Flaw::ResumesRelatively) {
                part.first = part.next;
            }
            self.parts.push(part);
        }
    }

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &mut Batch<u64>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        if self.has(Flaw::ClearsBatch) {
            batch.records.clear();
        }
        let is_over = self.has(Flaw::EndIsFinal) && self.has_ended;
        match self.choose() {
            (Some(index), _) if !is_over => {
                let records = self.read(index, limit)?;
                batch.records.extend(records);
                let is_last = self.choose() == (None, false);
                match is_last && self.has(Flaw::EndsWithRecords) {
                    true => Poll::Ready(Ok(ReaderStatus::EndOfData)),
                    false => Poll::Ready(Ok(ReaderStatus::More)),
                }
            }
            (None, true) => Poll::Pending,
            _ if self.has(Flaw::HangsWithoutSplits) && self.parts.is_empty() => {
                Poll::Ready(Ok(ReaderStatus::More))
            }
            _ if self.has(Flaw::EndsOnce) && self.has_ended => Poll::Ready(Ok(ReaderStatus::More)),
            _ => {
                self.has_ended = true;
                Poll::Ready(Ok(ReaderStatus::EndOfData))
            }
        }
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<Part>> {
        let positions = self.positions();
        self.source.upstream().positions.extend(positions.iter().copied());
        if self.has(Flaw::AcknowledgesAtSnapshot) {
            self.source.acknowledge(&positions);
        }
        self.snapshots.push((checkpoint, positions));
        let mut left = self.parts.clone();
        if self.has(Flaw::PausedAreNotInSnapshot) {
            self.paused
                .iter()
                .for_each(|index| left[*index].next = left[*index].end);
        }
        if self.has(Flaw::SnapshotReadsAhead) {
            left.iter_mut()
                .take(1)
                .for_each(|part| part.next = part.end.min(part.next + 1));
        }
        if self.has(Flaw::ResumesRelatively) {
            left.iter_mut()
                .for_each(|part| part.next -= part.first % self.source.size);
        }
        if self.has(Flaw::SnapshotTakesSplits) {
            self.parts.iter_mut().for_each(|part| part.next = part.end);
        }
        if self.has(Flaw::SnapshotIsOfFirstReader) && self.subtask > 0 {
            left.clear();
        }
        left.retain(|part| part.weight() > 0 || self.has(Flaw::SnapshotHasFinishedSplits));
        Ok(left)
    }

    fn on_checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let now = self.positions();
        let mut complete = self.snapshots.clone();
        complete.retain(|(id, _)| *id <= checkpoint);
        self.snapshots.retain(|(id, _)| *id > checkpoint);
        if self.has(Flaw::AcknowledgesOldestSnapshotOnly) {
            complete.truncate(1);
        }
        if self.has(Flaw::AcknowledgesAllThatWasRead) {
            complete = vec![(checkpoint, now)];
        }
        if !self.has(Flaw::NeverAcknowledges) {
            complete
                .iter()
                .for_each(|(_, positions)| self.source.acknowledge(positions));
        }
        Ok(())
    }

    fn current_split(&self) -> Option<usize> {
        self.current
    }

    fn take_finished(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.finished)
    }

    fn can_pause_splits(&self) -> bool {
        true
    }

    fn pause_splits(&mut self, paused: &[usize]) {
        self.paused = paused.to_vec();
    }
}
