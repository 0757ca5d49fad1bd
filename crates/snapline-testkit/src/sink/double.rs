//! A sink with transactions in memory: sound, or with one flaw.

use super::{Guarantee, Record, Subject};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, Error, Result, SubtaskIndex};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What a double does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    // Writing.
    KeepsTheBatch,
    WritesAtOnce,
    LosesBeyondAThousand,
    BarrierComesLate,
    EmptyIsPrepared,
    PreparesOneAtATime,
    // Committing.
    CommitsNothing,
    CommitsAgain,
    UnknownIsRefused,
    CommitNeedsItsProcess,
    TwoWritersAtMost,
    NamesHaveNoAttempt,
    LateCommitCleansUp,
    // Recovering.
    LeavesTransactions,
    KeepsLaterResults,
    IgnoresTheAttempt,
    TakesOtherSubtasks,
    // Without committables.
    WritesWhenCommitted,
    LosesTheLastBatch,
    InsertsOnly,
}

/// One part of the output. Sorted by checkpoint, then writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Name {
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    attempt: AttemptId,
}

#[derive(Debug, Default)]
struct Outside {
    prepared: BTreeMap<Name, Vec<Record>>,
    committed: BTreeMap<Name, Vec<Record>>,
    written: Vec<Record>,
    rows: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Double {
    flaw: Flaw,
    guarantee: Guarantee,
    scope: RecoveryScope,
    outside: Arc<Mutex<Outside>>,
    /// What the process of this handle knows, for [`Flaw::CommitNeedsItsProcess`].
    process: Arc<Mutex<Vec<Name>>>,
}

/// A sink of this kind with this flaw, and how to look at it.
pub(super) fn subject(flaw: Flaw, guarantee: Guarantee, scope: RecoveryScope) -> Subject {
    let outside = Arc::new(Mutex::new(Outside::default()));
    let (seen, hidden) = (outside.clone(), outside.clone());
    let open = move || Double {
        flaw,
        guarantee,
        scope,
        outside: outside.clone(),
        process: Arc::default(),
    };
    let visible = move || {
        let outside = seen.lock().unwrap();
        let committed = outside.committed.values().flatten();
        let rows = outside.rows.iter().map(|(&key, &value)| Record { key, value });
        committed.chain(&outside.written).copied().chain(rows).collect()
    };
    let subject = match guarantee {
        Guarantee::ExactlyOnce => Subject::exactly_once(open, visible),
        Guarantee::AtLeastOnce => Subject::at_least_once(open, visible),
        Guarantee::Upsert => Subject::upsert(open, visible),
    };
    // Where a subtask restarts alone, what the others have prepared stays until they commit it.
    match scope {
        RecoveryScope::Subtask => subject,
        _ => subject.left_behind(move || {
            let outside = hidden.lock().unwrap();
            outside.prepared.keys().map(|name| format!("{name:?}")).collect()
        }),
    }
}

impl Double {
    fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap()
    }

    /// Writes where everybody sees it.
    fn write_at_once(&self, records: &[Record]) {
        let mut outside = self.outside();
        match self.guarantee == Guarantee::Upsert && self.flaw != Flaw::InsertsOnly {
            true => outside
                .rows
                .extend(records.iter().map(|record| (record.key, record.value))),
            false => outside.written.extend(records),
        }
    }

    fn prepare(&self, name: Name, records: Vec<Record>) -> Vec<Name> {
        if records.is_empty() && self.flaw != Flaw::EmptyIsPrepared {
            return Vec::new();
        }
        let prepared = &mut self.outside().prepared;
        if self.flaw == Flaw::PreparesOneAtATime {
            prepared.retain(|other, _| other.subtask != name.subtask);
        }
        prepared.entry(name).or_default().extend(records);
        self.process.lock().unwrap().push(name);
        vec![name]
    }

    fn commit_one(&self, name: Name, committer: AttemptId) -> Result<()> {
        let mut outside = self.outside();
        let is_passed_over = match self.flaw {
            Flaw::CommitsNothing => true,
            Flaw::TwoWritersAtMost => name.subtask.0 >= 2,
            Flaw::CommitNeedsItsProcess => !self.process.lock().unwrap().contains(&name),
            _ => false,
        };
        if is_passed_over {
            return Ok(());
        }
        match outside.prepared.get(&name).cloned() {
            Some(records) if self.flaw == Flaw::CommitsAgain => {
                outside.committed.entry(name).or_default().extend(records);
            }
            Some(records) => {
                outside.prepared.remove(&name);
                outside.committed.insert(name, records);
            }
            None if outside.committed.contains_key(&name) && self.flaw != Flaw::UnknownIsRefused => {}
            None => return Err(Error::invalid("there is no such transaction")),
        }
        if self.flaw == Flaw::LateCommitCleansUp {
            outside.prepared.retain(|other, _| other.attempt == committer);
        }
        Ok(())
    }
}

impl Sink<Record> for Double {
    type Committable = Name;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<Record, Name>>> {
        Ok(Box::new(Writer {
            double: self.clone(),
            context,
            records: Arc::default(),
        }))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<Name>>> {
        Ok(Box::new(ModelCommitter(self.clone(), context.attempt)))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        self.scope
    }
}

struct Writer {
    double: Double,
    context: WriterContext,
    records: Arc<Mutex<Vec<Record>>>,
}

impl SinkWriter<Record, Name> for Writer {
    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        let flaw = self.double.flaw;
        let is_at_once = self.double.guarantee != Guarantee::ExactlyOnce;
        if (is_at_once && flaw != Flaw::WritesWhenCommitted) || flaw == Flaw::WritesAtOnce {
            let kept = usize::from(flaw == Flaw::LosesTheLastBatch);
            self.double.write_at_once(&batch.records[kept.min(batch.len())..]);
        } else {
            self.records.lock().unwrap().extend(&batch.records);
        }
        if flaw != Flaw::KeepsTheBatch {
            batch.clear();
        }
        Ok(())
    }

    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<Name>>>> {
        let (double, flaw) = (self.double.clone(), self.double.flaw);
        let has_name = flaw != Flaw::NamesHaveNoAttempt;
        let name = Name {
            checkpoint,
            subtask: self.context.subtask,
            attempt: if has_name {
                self.context.attempt
            } else {
                AttemptId(u64::MAX)
            },
        };
        let shared = self.records.clone();
        let take = move || {
            let mut records = std::mem::take(&mut *shared.lock().unwrap());
            if flaw == Flaw::LosesBeyondAThousand {
                records.truncate(1000);
            }
            records
        };
        if flaw == Flaw::BarrierComesLate {
            return Ok(async move { Ok(double.prepare(name, take())) }.boxed());
        }
        let records = take();
        Ok(async move { Ok(double.prepare(name, records)) }.boxed())
    }
}

struct ModelCommitter(Double, AttemptId);

#[async_trait]
impl Committer<Name> for ModelCommitter {
    async fn commit(&mut self, committables: Vec<Name>) -> Result<()> {
        committables
            .into_iter()
            .try_for_each(|name| self.0.commit_one(name, self.1))
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let Double { flaw, scope, .. } = self.0;
        let restored = restored.unwrap_or(CheckpointId::NONE);
        let mut outside = self.0.outside();
        let is_older = |name: &Name| name.attempt < attempt || flaw == Flaw::IgnoresTheAttempt;
        let takes_all = scope == RecoveryScope::Sink || flaw == Flaw::TakesOtherSubtasks;
        if takes_all && flaw != Flaw::LeavesTransactions {
            outside.prepared.retain(|name, _| !is_older(name));
        }
        if flaw != Flaw::KeepsLaterResults {
            let committed = &mut outside.committed;
            committed.retain(|name, _| name.checkpoint <= restored || !is_older(name));
        }
        Ok(())
    }
}
