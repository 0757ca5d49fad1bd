//! Functions of the user that keep state.

mod broadcast;
mod broadcast_context;
mod co_process;
mod context;
mod function;
mod record_context;
mod runtime_context;

pub(crate) use broadcast::RecordSide;
pub use broadcast::{BroadcastProcessFunction, KeyedBroadcastProcessFunction};
pub use broadcast_context::{BroadcastContext, KeyedBroadcastContext};
pub use co_process::KeyedCoProcessFunction;
pub(crate) use co_process::OfEither;
pub use context::{ProcessContext, TimeDomain};
pub use function::ProcessFunction;
pub use record_context::{RecordContext, SnapshotContext};
pub(crate) use runtime_context::BroadcastSide;
pub use runtime_context::RuntimeContext;

use crate::operator::collector::Collector;
use snapline_core::{Data, Key, Result, Timestamp};

/// A function over the records of a keyed stream, with state per key that survives failures.
///
/// Each subtask has a clone of its own, on which [`open`](Self::open) is called first, once. After a
/// failure the subtask begins with another clone: what is to survive has to be in states.
///
/// ```
/// use snapline_core::Result;
/// use snapline_dataflow::{Collector, KeyedProcessFunction, ProcessContext, RuntimeContext, ValueState};
///
/// /// Tells who has logged in for the third time.
/// #[derive(Clone, Default)]
/// struct ThirdLogin {
///     logins: ValueState<String, u32>,
/// }
///
/// impl KeyedProcessFunction<String, String> for ThirdLogin {
///     type Output = String;
///
///     fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
///         self.logins = context.value_state("logins");
///         Ok(())
///     }
///
///     fn process_element(
///         &mut self,
///         user: String,
///         context: &mut ProcessContext<'_, String>,
///         out: &mut Collector<'_, String>,
///     ) -> Result<()> {
///         let logins = self.logins.value(context)?.unwrap_or(0) + 1;
///         self.logins.update(context, logins)?;
///         if logins == 3 {
///             out.collect(user);
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function over records `{T}` with keys `{K}`",
    note = "for a closure, use `process_with`"
)]
pub trait KeyedProcessFunction<K: Key, T: Data>: Send + 'static {
    /// What the function emits.
    type Output: Data;

    /// Registers states before the first record.
    ///
    /// # Errors
    /// What keeps the function from starting.
    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Takes a record. States are those of its key.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn process_element(
        &mut self,
        record: T,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()>;

    /// Takes a timer that a [`ProcessContext`] has registered, whose time has come. States are those of its key,
    /// and results get its time if that is event time.
    ///
    /// Timers of event time come when the watermark passes them, before any later record and before the watermark
    /// goes on; at the end of the data the watermark passes all. Those of processing time come between two
    /// batches, and not after the end of the data.
    ///
    /// When many are due, they fire about a millisecond at a time, and a checkpoint may be taken in between. A restore
    /// goes on with those that are left.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()> {
        let _ = (time, domain, context, out);
        Ok(())
    }
}
