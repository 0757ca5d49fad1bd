//! A sink whose transactions survive the process.

use super::super::dice::Dice;
use super::super::fate::Trouble;
use super::World;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, Data, Error, OperatorUid, Result, encode_into};
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

/// Commits in two phases, as a database with prepared transactions does.
///
/// Calls are slow, fail, or succeed and say that they failed, as the seed wants. It also watches its job: what is
/// committed before its checkpoint exists, or was never prepared, is a failure of the simulation.
#[derive(Debug, Clone)]
pub struct WorldSink<T> {
    world: World,
    records: PhantomData<fn(T)>,
}

/// Names a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    id: u64,
    checkpoint: CheckpointId,
}

/// The transactions of all sinks.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    next: u64,
    prepared: BTreeMap<u64, (OperatorUid, Vec<Vec<u8>>)>,
    committed: BTreeSet<u64>,
    /// The sinks that have committed anything.
    sinks: BTreeSet<OperatorUid>,
}

impl<T> WorldSink<T> {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            records: PhantomData,
        }
    }
}

impl<T: Data> Sink<T> for WorldSink<T> {
    type Committable = Transaction;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, Transaction>>> {
        Ok(Box::new(Writer {
            world: self.world.clone(),
            operator: context.operator,
            records: Vec::new(),
        }))
    }

    /// Some are databases in which each writer has transactions of its own, others are not.
    fn recovery_scope(&self) -> RecoveryScope {
        self.world.recovery_scope()
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<Transaction>>> {
        Ok(Box::new(WorldCommitter {
            world: self.world.clone(),
            operator: context.operator,
        }))
    }
}

struct Writer {
    world: World,
    operator: OperatorUid,
    records: Vec<Vec<u8>>,
}

impl<T: Data> SinkWriter<T, Transaction> for Writer {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        for record in batch.records.drain(..) {
            let mut bytes = Vec::new();
            encode_into(&record, &mut bytes)?;
            self.records.push(bytes);
        }
        batch.clear();
        Ok(())
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<Transaction>>>> {
        let records = std::mem::take(&mut self.records);
        let (world, operator) = (self.world.clone(), self.operator.clone());
        let prepare = async move {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let transaction = world.prepare(operator, checkpoint, records).await?;
            Ok(vec![transaction])
        };
        Ok(prepare.boxed())
    }
}

struct WorldCommitter {
    world: World,
    operator: OperatorUid,
}

#[async_trait]
impl Committer<Transaction> for WorldCommitter {
    async fn commit(&mut self, transactions: Vec<Transaction>) -> Result<()> {
        for transaction in transactions {
            self.world.commit(&self.operator, transaction).await?;
        }
        Ok(())
    }

    async fn recover(&mut self, _: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let outside = &self.world.shared;
        outside.wait(None).await;
        let mut state = outside.state();
        let begins_anew = restored.is_none() && state.transactions.sinks.contains(&self.operator);
        if self.world.recovery_scope() == RecoveryScope::Sink {
            let prepared = &mut state.transactions.prepared;
            prepared.retain(|_, (operator, _)| *operator != self.operator);
        }
        drop(state);
        if begins_anew {
            outside.violated("the job begins at the beginning after it has committed".to_owned());
        }
        Ok(())
    }
}

impl World {
    fn recovery_scope(&self) -> RecoveryScope {
        match Dice::new(self.seed(), "scope").one_in(2) {
            true => RecoveryScope::Subtask,
            false => RecoveryScope::Sink,
        }
    }

    async fn prepare(
        &self,
        operator: OperatorUid,
        checkpoint: CheckpointId,
        records: Vec<Vec<u8>>,
    ) -> Result<Transaction> {
        let outside = &self.shared;
        let trouble = outside.fate.outside();
        outside.wait(trouble).await;
        if trouble == Some(Trouble::Fails) {
            return Err(self.refused("prepare", "fails"));
        }
        let id = {
            let transactions = &mut outside.state().transactions;
            transactions.next += 1;
            transactions
                .prepared
                .insert(transactions.next, (operator, records));
            transactions.next
        };
        outside.fate.on_moment();
        outside.wait(None).await;
        if trouble == Some(Trouble::Lies) {
            return Err(self.refused("prepare", "succeeds and says that it failed"));
        }
        Ok(Transaction { id, checkpoint })
    }

    async fn commit(&self, operator: &OperatorUid, transaction: Transaction) -> Result<()> {
        let outside = &self.shared;
        let trouble = outside.fate.outside();
        outside.wait(trouble).await;
        if trouble == Some(Trouble::Fails) {
            return Err(self.refused("commit", "fails"));
        }
        self.make_visible(operator, transaction)?;
        outside.fate.on_moment();
        outside.wait(None).await;
        if trouble == Some(Trouble::Lies) {
            return Err(self.refused("commit", "succeeds and says that it failed"));
        }
        Ok(())
    }

    fn make_visible(&self, operator: &OperatorUid, transaction: Transaction) -> Result<()> {
        let Transaction { id, checkpoint } = transaction;
        let outside = &self.shared;
        let newest = outside.storage.newest_checkpoint();
        if checkpoint.0 > newest {
            outside.violated(format!(
                "transaction {id} of checkpoint {checkpoint} is committed when the newest checkpoint is {newest}"
            ));
        }
        let mut state = outside.state();
        if let Some((_, mut records)) = state.transactions.prepared.remove(&id) {
            state.transactions.committed.insert(id);
            state.transactions.sinks.insert(operator.clone());
            let count = records.len();
            state.visible.append(&mut records);
            outside.trace.note("world", || {
                format!("transaction {id} makes {count} records visible")
            });
            return Ok(());
        }
        if state.transactions.committed.contains(&id) {
            return Ok(());
        }
        drop(state);
        outside.violated(format!(
            "transaction {id} of checkpoint {checkpoint} is committed, but it was never prepared or was given up"
        ));
        Err(Error::invalid("the world does not know this transaction").with("transaction", id))
    }

    fn refused(&self, call: &'static str, how: &str) -> Error {
        self.shared.trace.note("world", || format!("{call} {how}"));
        Error::unavailable("the simulated outside world did not answer").with("call", call)
    }
}
