//! Functions over streams without keys.

use super::{RecordContext, RuntimeContext, SnapshotContext};
use crate::operator::collector::Collector;
use snapline_core::{Data, Result};

/// A function over the records of a stream, with operator state that survives failures.
///
/// Each subtask has a clone of its own, on which [`open`](Self::open) is called first, once. After a failure the subtask
/// begins with another clone: what is to survive has to be in operator state. It has no keys, so no states per key and no
/// timers; those has a [`KeyedProcessFunction`](crate::KeyedProcessFunction).
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{
///     Collector, OperatorListState, ProcessFunction, RecordContext, RuntimeContext, SnapshotContext,
/// };
///
/// /// Sends records on by the hundred.
/// #[derive(Clone, Default)]
/// struct ByTheHundred {
///     waiting: Vec<u64>,
///     stored: OperatorListState<u64>,
/// }
///
/// impl ProcessFunction<u64> for ByTheHundred {
///     type Output = Vec<u64>;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.stored = context.operator_list_state("waiting");
///         self.waiting = self.stored.items(context)?;
///         Ok(())
///     }
///
///     fn process_element(
///         &mut self,
///         record: u64,
///         _context: &mut RecordContext<'_>,
///         out: &mut Collector<'_, Vec<u64>>,
///     ) -> Result<()> {
///         self.waiting.push(record);
///         if self.waiting.len() >= 100 {
///             out.collect(std::mem::take(&mut self.waiting));
///         }
///         Ok(())
///     }
///
///     fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
///         self.stored.update(context, &self.waiting)
///     }
///
///     fn finish(
///         &mut self,
///         _context: &mut RecordContext<'_>,
///         out: &mut Collector<'_, Vec<u64>>,
///     ) -> Result<()> {
///         if !self.waiting.is_empty() {
///             out.collect(std::mem::take(&mut self.waiting));
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{T}`",
    note = "for a closure, use `flat_map`; for a stream with keys, implement `KeyedProcessFunction`"
)]
pub trait ProcessFunction<T: Data>: Send + 'static {
    /// What the function emits.
    type Output: Data;

    /// Registers states before the first record. Those of lists can be read at once.
    ///
    /// # Errors
    /// What keeps the function from starting.
    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Takes a record.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_element(
        &mut self,
        record: T,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Writes into operator state what is kept in fields: a checkpoint is taken.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Emits what is left: no records will come any more. Not called when the job stops with a savepoint and is to go on.
    ///
    /// A snapshot may be taken after it, and after a restore from that one it is called again: what was emitted must not be
    /// in fields or in state any more.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn finish(
        &mut self,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()> {
        let _ = (context, out);
        Ok(())
    }
}
