//! What a program says about the event time of a stream.

use super::generator::{BoundedOutOfOrderness, NoWatermarks, WatermarkGenerator};
use snapline_core::{Error, Result, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where the timestamps of records come from, and how far event time has come when they are seen.
///
/// ```
/// use snapline_core::Timestamp;
/// use snapline_dataflow::WatermarkStrategy;
/// use std::time::Duration;
///
/// struct Click { user: u64, at: i64 }
///
/// // No click comes more than five seconds after a later one; a user that clicks no more holds up nobody.
/// let strategy = WatermarkStrategy::<Click>::for_bounded_out_of_orderness(Duration::from_secs(5))
///     .with_timestamp_assigner(|click| Timestamp(click.at))
///     .with_idleness(Duration::from_secs(60));
/// # let _ = (strategy, Click { user: 1, at: 2 }.user);
/// ```
///
/// Watermarks never go back, whatever a strategy says: who says less than before is not heard. They are not
/// part of checkpoints: after a restart a strategy begins anew with what is read again.
pub struct WatermarkStrategy<T> {
    generator: Arc<dyn Fn() -> Box<dyn WatermarkGenerator<T>> + Send + Sync>,
    assigner: Option<Arc<dyn AssignAll<T>>>,
    idleness: Option<Duration>,
}

impl<T: 'static> WatermarkStrategy<T> {
    /// Timestamps only grow, as far as one split or one subtask goes.
    pub fn for_monotonous_timestamps() -> Self {
        Self::for_bounded_out_of_orderness(Duration::ZERO)
    }

    /// No record comes after one that is later by more than `bound`, or it is late.
    pub fn for_bounded_out_of_orderness(bound: Duration) -> Self {
        Self::for_generator(move || BoundedOutOfOrderness::new(bound))
    }

    /// Generators of your own, one for each split or each subtask.
    pub fn for_generator<G: WatermarkGenerator<T> + 'static>(
        make: impl Fn() -> G + Send + Sync + 'static,
    ) -> Self {
        Self {
            generator: Arc::new(move || Box::new(make())),
            assigner: None,
            idleness: None,
        }
    }

    /// Records get timestamps, but event time stands still until the end of the input.
    pub fn no_watermarks() -> Self {
        Self::for_generator(|| NoWatermarks)
    }

    /// Takes the timestamps from the records. Without it they are those that the records have already.
    #[must_use]
    pub fn with_timestamp_assigner(self, assigner: impl Fn(&T) -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            assigner: Some(Arc::new(assigner)),
            ..self
        }
    }

    /// A split or a subtask from which nothing comes for longer than this does not hold up event time.
    ///
    /// The time is processing time. 0 is refused when the job is planned.
    #[must_use]
    pub fn with_idleness(self, timeout: Duration) -> Self {
        Self {
            idleness: Some(timeout),
            ..self
        }
    }

    /// # Errors
    /// `Invalid` when the strategy cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        match self.idleness {
            Some(Duration::ZERO) => Err(Error::invalid(
                "the idleness of a watermark strategy must be longer than 0; leave it out when no stream is ever idle",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn generator(&self) -> Box<dyn WatermarkGenerator<T>> {
        (self.generator)()
    }

    pub(crate) fn assigner(&self) -> Option<Arc<dyn AssignAll<T>>> {
        self.assigner.clone()
    }

    pub(crate) fn idleness(&self) -> Option<Duration> {
        self.idleness
    }
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            generator: self.generator.clone(),
            assigner: self.assigner.clone(),
            idleness: self.idleness,
        }
    }
}

impl<T> fmt::Debug for WatermarkStrategy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatermarkStrategy")
            .field("idleness", &self.idleness)
            .finish_non_exhaustive()
    }
}

/// A function from a record to its timestamp, called for a whole batch.
pub(crate) trait AssignAll<T>: Send + Sync {
    fn assign_all(&self, records: &[T], timestamps: &mut Vec<Timestamp>);
}

impl<T, F: Fn(&T) -> Timestamp + Send + Sync> AssignAll<T> for F {
    fn assign_all(&self, records: &[T], timestamps: &mut Vec<Timestamp>) {
        timestamps.extend(records.iter().map(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    #[test]
    fn a_strategy_whose_streams_are_idle_at_once_is_refused() {
        let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
        assert!(strategy.clone().check().is_ok());
        assert!(
            strategy
                .clone()
                .with_idleness(Duration::from_nanos(1))
                .check()
                .is_ok()
        );
        let error = strategy.with_idleness(Duration::ZERO).check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
