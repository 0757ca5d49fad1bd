//! What all operators with keyed state do alike.

use crate::alarm::Alarm;
use crate::context::OperatorContext;
use crate::link::Link;
use crate::snapshot::{OperatorSnapshot, TaskSnapshot};
use snapline_core::{Error, OperatorUid, Result};
use snapline_state::{CleanUp, KeyedStateBackend, OperatorState, TableSpec};
use std::task::{Context, Poll};

/// The keyed state of one operator in one subtask.
pub(super) struct KeyedState {
    operator: OperatorUid,
    backend: Box<dyn KeyedStateBackend>,
    /// `None` when nothing expires.
    clean_up: Option<CleanUp>,
}

impl KeyedState {
    /// Opens these tables.
    ///
    /// # Errors
    /// As [`OperatorContext::open_state`].
    pub(super) async fn open(context: &OperatorContext, tables: Vec<TableSpec>) -> Result<Self> {
        Ok(Self {
            operator: context.operator.clone(),
            clean_up: CleanUp::of(&tables, context.max_parallelism),
            backend: context.open_state(tables).await?,
        })
    }

    pub(super) fn backend(&mut self) -> &mut dyn KeyedStateBackend {
        &mut *self.backend
    }

    /// Removes a little of what has expired, if anything does, and asks to be called again.
    ///
    /// # Errors
    /// As [`CleanUp::advance`].
    pub(super) fn clean_up(&mut self, alarm: &mut Alarm) -> Result<()> {
        if let Some(clean_up) = &mut self.clean_up {
            let next = clean_up.advance(&mut *self.backend)?;
            alarm.listen();
            next.into_iter().for_each(|next| alarm.wake_at(next));
        }
        Ok(())
    }

    /// Freezes the state into the snapshot of the task.
    ///
    /// # Errors
    /// As [`KeyedStateBackend::freeze`].
    pub(super) fn freeze(&mut self, snapshot: &mut TaskSnapshot) -> Result<()> {
        self.freeze_with(OperatorState::new(), snapshot)
    }

    /// The same with what is not keyed.
    ///
    /// # Errors
    /// As [`KeyedStateBackend::freeze`].
    pub(super) fn freeze_with(&mut self, state: OperatorState, snapshot: &mut TaskSnapshot) -> Result<()> {
        let barrier = snapshot.barrier;
        let keyed = self.backend.freeze(barrier.checkpoint, barrier.options.base)?;
        let frozen = OperatorSnapshot::of(&self.operator);
        snapshot
            .operators
            .push(frozen.with_keyed(keyed).with_state(state));
        Ok(())
    }

    /// Advances the running snapshot, and when nothing is left here, those behind.
    ///
    /// # Errors
    /// The running snapshot has failed.
    pub(super) fn poll_advance<T>(
        &mut self,
        cx: &mut Context<'_>,
        next: &mut (impl Link<T> + ?Sized),
    ) -> Poll<Result<()>> {
        match self.backend.poll_advance(cx) {
            Poll::Ready(Ok(())) => next.poll_advance(cx),
            unfinished => unfinished,
        }
    }
}

/// Records have come another way than over a keyed exchange.
pub(super) fn no_hashes() -> Error {
    Error::internal("records without key hashes reached a keyed operator")
}
