//! What a snapshot has of records whose results have not gone on.

use super::pending::{Element, Pending, Taken};
use crate::context::OperatorContext;
use crate::link::TimeSignal;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp, Watermark};
use snapline_state::OperatorState;

/// The name of the list in the state of an operator.
const PENDING: &str = "pending";

/// A watermark stands where it stood, because records behind it may be late.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stored<T> {
    Record(T, Option<Timestamp>),
    Watermark(Watermark),
}

/// The state of an operator in which this is pending.
///
/// The end of event time is left out: whoever said it says it again. So are pauses.
pub(super) fn freeze<T: Data, U>(pending: &Pending<T, U>) -> Result<OperatorState> {
    let mut state = OperatorState::new();
    for element in pending.elements() {
        let stored = match element {
            Element::Record(taken) => Stored::Record(taken.record.clone(), taken.timestamp),
            Element::Mark(TimeSignal::Watermark(watermark)) if watermark < Watermark::MAX => {
                Stored::Watermark(watermark)
            }
            Element::Mark(_) => continue,
        };
        state.push(PENDING, &stored)?;
    }
    Ok(state)
}

/// What was pending in a snapshot is pending again.
///
/// At another parallelism the watermarks are left out, since what one subtask knew of event time does not hold for the
/// records of another. So they come later, and no record is late that was not.
pub(super) fn restore<T: Data, U>(context: &OperatorContext, pending: &mut Pending<T, U>) -> Result<()> {
    let restored = &context.restored;
    let is_rescaled = restored.operator_of_all.len() != context.parallelism as usize;
    for stored in restored.operator.items::<Stored<T>>(PENDING)? {
        match stored {
            Stored::Record(record, timestamp) => pending.push(Taken { record, timestamp }),
            Stored::Watermark(_) if is_rescaled => {}
            Stored::Watermark(watermark) => pending.mark(TimeSignal::Watermark(watermark)),
        }
    }
    Ok(())
}
