//! Keeps what becomes of checkpoints, up to a limit.

use super::{
    CheckpointReport, CheckpointStatistics, CheckpointStatus, CheckpointSummary, CompletedSummary,
    CutEvidence, RestoreReport, Spread,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How many of each are kept.
const KEPT: usize = 10;

/// What has become of the checkpoints of a job.
#[derive(Debug, Clone, Default)]
pub struct CheckpointHistory {
    triggered: u64,
    aborted: u64,
    latest: Option<CompletedSummary>,
    reports: VecDeque<Arc<CheckpointReport>>,
    restores: VecDeque<RestoreReport>,
    violations: VecDeque<Arc<CutEvidence>>,
    totals: Totals,
}

/// Of all completed checkpoints. Durations in nanoseconds.
#[derive(Debug, Clone, Default)]
struct Totals {
    count: u64,
    duration: Total,
    until_acknowledged: Total,
    total_bytes: Total,
    written_bytes: Total,
}

#[derive(Debug, Clone, Default)]
struct Total {
    min: u64,
    sum: u128,
    max: u64,
}

impl CheckpointHistory {
    pub(crate) fn on_triggered(&mut self) {
        self.triggered += 1;
    }

    pub(crate) fn on_restored(&mut self, restore: RestoreReport) {
        keep(&mut self.restores, restore);
    }

    pub(crate) fn on_violation(&mut self, evidence: CutEvidence) {
        keep(&mut self.violations, Arc::new(evidence));
    }

    /// A checkpoint is complete or was given up.
    pub(crate) fn on_end(&mut self, report: CheckpointReport) {
        match report.status {
            CheckpointStatus::Completed => self.on_completed(&report),
            _ => self.aborted += 1,
        }
        keep(&mut self.reports, Arc::new(report));
    }

    /// All but what the coordinator itself knows.
    pub(crate) fn statistics(&self) -> CheckpointStatistics {
        CheckpointStatistics {
            triggered: self.triggered,
            completed: self.totals.count,
            aborted: self.aborted,
            history: self.reports.iter().cloned().collect(),
            latest: self.latest,
            summary: self.totals.summary(),
            restores: self.restores.iter().copied().collect(),
            violations: self.violations.iter().cloned().collect(),
            ..CheckpointStatistics::default()
        }
    }

    fn on_completed(&mut self, report: &CheckpointReport) {
        let summary = CompletedSummary {
            checkpoint: report.checkpoint,
            duration: report.duration,
            until_acknowledged: report.until_acknowledged.unwrap_or_default(),
            total_bytes: report.total_bytes,
            written_bytes: report.written_bytes,
        };
        self.totals.add(&summary);
        if !report.kind.is_savepoint() || report.kind.stops_job() {
            self.latest = Some(summary);
        }
    }
}

impl Totals {
    fn add(&mut self, completed: &CompletedSummary) {
        let is_first = self.count == 0;
        self.count += 1;
        self.duration.add(nanos(completed.duration), is_first);
        self.until_acknowledged
            .add(nanos(completed.until_acknowledged), is_first);
        self.total_bytes.add(completed.total_bytes, is_first);
        self.written_bytes.add(completed.written_bytes, is_first);
    }

    fn summary(&self) -> CheckpointSummary {
        let bytes = |total: &Total| total.spread(self.count);
        let durations = |total: &Total| {
            let Spread { min, mean, max } = total.spread(self.count);
            let [min, mean, max] = [min, mean, max].map(Duration::from_nanos);
            Spread { min, mean, max }
        };
        CheckpointSummary {
            duration: durations(&self.duration),
            until_acknowledged: durations(&self.until_acknowledged),
            total_bytes: bytes(&self.total_bytes),
            written_bytes: bytes(&self.written_bytes),
        }
    }
}

impl Total {
    fn add(&mut self, value: u64, is_first: bool) {
        self.min = if is_first { value } else { self.min.min(value) };
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    fn spread(&self, count: u64) -> Spread<u64> {
        let mean = self.sum / u128::from(count.max(1));
        Spread {
            min: self.min,
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            max: self.max,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn keep<T>(kept: &mut VecDeque<T>, new: T) {
    kept.push_back(new);
    if kept.len() > KEPT {
        kept.pop_front();
    }
}
