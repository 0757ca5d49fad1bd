//! From the timestamps of records to watermarks.

use super::millis_of;
use snapline_core::{Timestamp, Watermark};
use std::time::Duration;

/// Watches the records of a stream, or of one split of a source, and says how far event time has come.
///
/// # Contract
/// * [`on_event`](Self::on_event) is called for each record, in the order of the stream, and
///   [`on_periodic_emit`](Self::on_periodic_emit) after each batch of records.
/// * A generator begins anew when its job restarts: watermarks are not part of a checkpoint.
///
/// A watermark that is not later than all before is passed over, so a generator may go back without harm.
///
/// # Examples
///
/// A device says itself when a period is over:
///
/// ```
/// use snapline_core::{Timestamp, Watermark};
/// use snapline_dataflow::{WatermarkGenerator, WatermarkOutput, WatermarkStrategy};
///
/// enum Message { Reading(f64), PeriodEnds }
///
/// struct AtPeriodEnds;
///
/// impl WatermarkGenerator<Message> for AtPeriodEnds {
///     fn on_event(&mut self, message: &Message, at: Timestamp, out: &mut WatermarkOutput) {
///         if matches!(message, Message::PeriodEnds) {
///             out.emit_watermark(Watermark(at));
///         }
///     }
///
///     fn on_periodic_emit(&mut self, _: &mut WatermarkOutput) {}
/// }
///
/// let strategy = WatermarkStrategy::<Message>::for_generator(|| AtPeriodEnds);
/// # let _ = (strategy, Message::Reading(0.0));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not generate watermarks for records `{T}`",
    note = "the usual ones are `WatermarkStrategy::for_monotonous_timestamps` and `for_bounded_out_of_orderness`"
)]
pub trait WatermarkGenerator<T>: Send {
    /// Sees a record and its timestamp. A watermark that it emits stands directly behind that record.
    fn on_event(&mut self, event: &T, timestamp: Timestamp, out: &mut WatermarkOutput);

    /// May emit what it has come to know. Called after each batch of records.
    fn on_periodic_emit(&mut self, out: &mut WatermarkOutput);

    /// Sees the records of a batch, by default one after the other.
    fn on_batch(&mut self, events: &[T], timestamps: &[Timestamp], out: &mut WatermarkOutput) {
        for (index, (event, timestamp)) in events.iter().zip(timestamps).enumerate() {
            out.position = index + 1;
            self.on_event(event, *timestamp, out);
        }
        out.position = events.len();
        self.on_periodic_emit(out);
    }
}

impl<T> WatermarkGenerator<T> for Box<dyn WatermarkGenerator<T>> {
    fn on_event(&mut self, event: &T, timestamp: Timestamp, out: &mut WatermarkOutput) {
        (**self).on_event(event, timestamp, out);
    }

    fn on_periodic_emit(&mut self, out: &mut WatermarkOutput) {
        (**self).on_periodic_emit(out);
    }

    fn on_batch(&mut self, events: &[T], timestamps: &[Timestamp], out: &mut WatermarkOutput) {
        (**self).on_batch(events, timestamps, out);
    }
}

/// Takes the watermarks of a [`WatermarkGenerator`].
#[derive(Debug, Default)]
pub struct WatermarkOutput {
    /// Behind how many records of the batch the next watermark stands.
    position: usize,
    emitted: Vec<(usize, Watermark)>,
}

impl WatermarkOutput {
    /// Event time has come this far. [`Watermark::MAX`] is kept for the end of the input: it counts as the
    /// one before.
    pub fn emit_watermark(&mut self, watermark: Watermark) {
        let Watermark(Timestamp(millis)) = watermark;
        let watermark = Watermark(Timestamp(millis.min(i64::MAX - 1)));
        self.emitted.push((self.position, watermark));
    }

    /// What was emitted for a batch, each behind how many of its records.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (usize, Watermark)> {
        self.position = 0;
        self.emitted.drain(..)
    }
}

/// Records may be late by so much, compared with the latest before them.
#[derive(Debug, Clone)]
pub(crate) struct BoundedOutOfOrderness {
    bound: u64,
    latest: Timestamp,
}

impl BoundedOutOfOrderness {
    pub(crate) fn new(bound: Duration) -> Self {
        Self {
            bound: millis_of(bound),
            latest: Timestamp::MIN,
        }
    }

    fn see(&mut self, latest: Option<Timestamp>) {
        self.latest = latest.map_or(self.latest, |latest| latest.max(self.latest));
    }
}

impl<T> WatermarkGenerator<T> for BoundedOutOfOrderness {
    fn on_event(&mut self, _: &T, timestamp: Timestamp, _: &mut WatermarkOutput) {
        self.see(Some(timestamp));
    }

    fn on_periodic_emit(&mut self, out: &mut WatermarkOutput) {
        out.emit_watermark(Watermark(self.latest.minus_millis(self.bound).minus_millis(1)));
    }

    fn on_batch(&mut self, events: &[T], timestamps: &[Timestamp], out: &mut WatermarkOutput) {
        self.see(timestamps.iter().copied().max());
        out.position = events.len();
        WatermarkGenerator::<T>::on_periodic_emit(self, out);
    }
}

/// Event time stands still until the end of the input.
#[derive(Debug, Clone)]
pub(crate) struct NoWatermarks;

impl<T> WatermarkGenerator<T> for NoWatermarks {
    fn on_event(&mut self, _: &T, _: Timestamp, _: &mut WatermarkOutput) {}

    fn on_periodic_emit(&mut self, _: &mut WatermarkOutput) {}

    fn on_batch(&mut self, _: &[T], _: &[Timestamp], _: &mut WatermarkOutput) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(mut generator: impl WatermarkGenerator<()>, batches: &[&[i64]]) -> Vec<(usize, i64)> {
        let mut out = WatermarkOutput::default();
        let mut all = Vec::new();
        for batch in batches {
            let timestamps: Vec<Timestamp> = batch.iter().copied().map(Timestamp).collect();
            generator.on_batch(&vec![(); batch.len()], &timestamps, &mut out);
            all.extend(out.take().map(|(position, watermark)| (position, watermark.0.0)));
        }
        all
    }

    #[test]
    fn a_watermark_stays_behind_the_latest_record_by_the_bound_and_one() {
        let cases: [(u64, &[&[i64]], &[(usize, i64)]); 4] = [
            (0, &[&[5, 3, 4]], &[(3, 4)]),
            (
                100,
                &[&[500, 100], &[450], &[700]],
                &[(2, 399), (1, 399), (1, 599)],
            ),
            (7, &[&[i64::MAX]], &[(1, i64::MAX - 8)]),
            (7, &[&[i64::MIN + 2]], &[(1, i64::MIN)]),
        ];
        for (bound, batches, expected) in cases {
            let generator = BoundedOutOfOrderness::new(Duration::from_millis(bound));
            assert_eq!(emitted(generator, batches), expected, "{bound} {batches:?}");
        }
    }

    /// Tells each multiple of ten, and at the end of a batch the end of all time.
    struct Tens;

    impl WatermarkGenerator<()> for Tens {
        fn on_event(&mut self, _: &(), timestamp: Timestamp, out: &mut WatermarkOutput) {
            if timestamp.0 % 10 == 0 {
                out.emit_watermark(Watermark(timestamp));
            }
        }

        fn on_periodic_emit(&mut self, out: &mut WatermarkOutput) {
            out.emit_watermark(Watermark::MAX);
        }
    }

    #[test]
    fn a_watermark_stands_behind_the_record_that_brought_it_and_never_says_that_all_is_over() {
        let expected = [(2, 10), (3, 20), (4, i64::MAX - 1)];
        assert_eq!(emitted(Tens, &[&[3, 10, 20, 7]]), expected);
    }

    #[test]
    fn without_watermarks_event_time_stands_still() {
        assert_eq!(emitted(NoWatermarks, &[&[1, 2], &[3]]), []);
    }
}
