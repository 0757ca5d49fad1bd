//! What a program says about the event time of a stream.

use super::alignment::Drift;
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
///
/// The usual strategies say how far event time is after each batch of records, so which of the records of one batch comes
/// late nobody knows: in a small input that is one batch nothing is late. With `batch_records: 1` in the settings of the job
/// each record is followed by its watermark, at the price of speed. On the way to other tasks a watermark waits, for a few
/// batches at the most, until the records before it are worth sending, unless there is nothing else to do.
pub struct WatermarkStrategy<T> {
    generator: Arc<dyn Fn() -> Box<dyn WatermarkGenerator<T>> + Send + Sync>,
    assigner: Option<Arc<dyn AssignAll<T>>>,
    idleness: Option<Duration>,
    drift: Option<Drift>,
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
            drift: None,
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

    /// Lets sources wait for one another: a reader whose event time is ahead of the slowest of the group by more than
    /// `max_drift` reads no more until the others have caught up.
    ///
    /// So what joins or windows keep of a fast source, while event time stands with a slow one, does not grow without
    /// end. The group is all subtasks of all sources of the job that name it. How far the others are is seen each
    /// `update_interval`, which is processing time; a source that waits does so for one of them at least. A source
    /// can be ahead by the drift and the batch that has led there. With a drift that is shorter than what a source
    /// reads in an interval, sources wait for one another by turns: a second and some seconds are good to begin with.
    ///
    /// A source that has ended is no longer in the group, and one that is [idle](Self::with_idleness) does not hold
    /// the others back. One that is not idle but has said nothing of event time does, also when it reads its splits one
    /// after the other and has not begun the last. One that waits for others does not become idle. Barriers pass while
    /// sources wait.
    ///
    /// Of a source whose readers can pause single splits, as those that count and those of files can
    /// ([`SourceReader::can_pause_splits`](snapline_connector::SourceReader::can_pause_splits)), a split that is too far ahead
    /// waits while others of the same reader are read.
    ///
    /// Alignment is for sources: use it in [`StreamExecutionEnvironment::from_source_with_watermarks`]. Elsewhere, and
    /// with durations of 0, it is refused when the job is planned.
    ///
    /// ```
    /// use snapline_connector::GeneratorSource;
    /// use snapline_core::Timestamp;
    /// use snapline_dataflow::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
    /// use std::time::Duration;
    ///
    /// /// Orders, one each second, and clicks, a thousand each second, never apart by more than a minute and a batch.
    /// fn orders_and_clicks(env: &StreamExecutionEnvironment) -> DataStream<i64> {
    ///     let aligned = WatermarkStrategy::<i64>::for_monotonous_timestamps()
    ///         .with_timestamp_assigner(|at| Timestamp(*at))
    ///         .with_watermark_alignment("shop", Duration::from_secs(60), Duration::from_secs(1));
    ///     let orders = GeneratorSource::new(1_000, |n| n as i64 * 1_000);
    ///     let clicks = GeneratorSource::new(1_000_000, |n| n as i64);
    ///     let orders = env.from_source_with_watermarks(orders, aligned.clone(), "orders");
    ///     orders.union(&env.from_source_with_watermarks(clicks, aligned, "clicks"))
    /// }
    /// ```
    ///
    /// [`StreamExecutionEnvironment::from_source_with_watermarks`]: crate::StreamExecutionEnvironment::from_source_with_watermarks
    #[must_use]
    pub fn with_watermark_alignment(
        self,
        group: impl Into<String>,
        max_drift: Duration,
        update_interval: Duration,
    ) -> Self {
        let drift = Drift {
            group: group.into(),
            max: max_drift,
            update_interval,
        };
        Self {
            drift: Some(drift),
            ..self
        }
    }

    /// # Errors
    /// `Invalid` when the strategy cannot be where there is no source.
    pub(crate) fn check_behind_sources(&self) -> Result<()> {
        self.check()?;
        match self.drift() {
            None => Ok(()),
            Some(drift) => Err(Error::invalid(
                "watermarks are aligned only at sources; give this strategy to from_source_with_watermarks",
            )
            .with("group", &drift.group)),
        }
    }

    /// # Errors
    /// `Invalid` when the strategy cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        self.drift.as_ref().map_or(Ok(()), Drift::check)?;
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

    pub(crate) fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            generator: self.generator.clone(),
            assigner: self.assigner.clone(),
            idleness: self.idleness,
            drift: self.drift.clone(),
        }
    }
}

impl<T> fmt::Debug for WatermarkStrategy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatermarkStrategy")
            .field("idleness", &self.idleness)
            .field("drift", &self.drift)
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

    #[test]
    fn a_strategy_that_aligns_is_refused_behind_sources() {
        let (drift, interval) = (Duration::from_secs(10), Duration::from_secs(1));
        let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
        assert!(strategy.check_behind_sources().is_ok());
        let aligned = strategy.clone().with_watermark_alignment("a", drift, interval);
        assert!(aligned.check().is_ok());
        let error = aligned.check_behind_sources().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = strategy
            .with_watermark_alignment("a", Duration::ZERO, interval)
            .check()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
