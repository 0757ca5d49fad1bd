//! Records of two streams that are in the same window.

use crate::operator::collector::Collector;
use crate::output_tag::OutputTag;
use crate::stream::{DataStream, Either, KeyedConnectedStreams, WindowedStream};
use crate::window::assigner::WindowAssigner;
use crate::window::function::WindowContext;
use crate::window::trigger::Trigger;
use snapline_core::{Data, Key, Result};
use std::time::Duration;

/// Two connected streams whose records are divided by key and gathered in windows, which they share: sessions are those
/// of both together.
#[derive(Debug)]
pub struct WindowedConnectedStreams<K, A, B, W: WindowAssigner<Either<A, B>>, G = DefaultTriggerOf<W, A, B>> {
    both: WindowedStream<K, Either<A, B>, W, G>,
}

type DefaultTriggerOf<W, A, B> = <W as WindowAssigner<Either<A, B>>>::DefaultTrigger;

impl<K: Key, A: Data, B: Data> KeyedConnectedStreams<K, A, B> {
    /// Gathers the records of both streams, key by key, in the same windows.
    pub fn window<W: WindowAssigner<Either<A, B>>>(
        &self,
        assigner: W,
    ) -> WindowedConnectedStreams<K, A, B, W> {
        WindowedConnectedStreams {
            both: self.both.window(assigner),
        }
    }
}

impl<K, A, B, W, G> WindowedConnectedStreams<K, A, B, W, G>
where
    K: Key,
    A: Data,
    B: Data,
    W: WindowAssigner<Either<A, B>>,
    G: Trigger<Either<A, B>, W::Window>,
{
    /// See [`WindowedStream::trigger`].
    #[must_use]
    pub fn trigger<H: Trigger<Either<A, B>, W::Window>>(
        self,
        trigger: H,
    ) -> WindowedConnectedStreams<K, A, B, W, H> {
        WindowedConnectedStreams {
            both: self.both.trigger(trigger),
        }
    }

    /// See [`WindowedStream::allowed_lateness`].
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self {
            both: self.both.allowed_lateness(lateness),
        }
    }

    /// See [`WindowedStream::side_output_late_data`].
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<Either<A, B>>) -> Self {
        Self {
            both: self.both.side_output_late_data(tag),
        }
    }

    /// Hands the records of a key in a window to a function, those of the left stream and those of the right one, each in the
    /// order in which they have come. One side may be empty.
    ///
    /// All of them are kept until the window ends.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, TumblingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// How many orders and how many complaints each customer had in an hour.
    /// fn counts(
    ///     orders: &DataStream<(String, u64)>,
    ///     complaints: &DataStream<(String, String)>,
    /// ) -> DataStream<(String, usize, usize)> {
    ///     orders
    ///         .connect(complaints)
    ///         .key_by(|order| order.0.clone(), |complaint| complaint.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(3_600)))
    ///         .co_group(|customer, _context, orders, complaints, out| {
    ///             out.collect((customer.clone(), orders.len(), complaints.len()));
    ///             Ok(())
    ///         })
    /// }
    /// ```
    pub fn co_group<U: Data, F>(&self, mut function: F) -> DataStream<U>
    where
        F: FnMut(&K, &WindowContext<'_, W::Window>, Vec<A>, Vec<B>, &mut Collector<'_, U>) -> Result<()>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let grouped = self.both.process(move |key, context, records, out| {
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            for record in records {
                match record {
                    Either::Left(record) => lefts.push(record),
                    Either::Right(record) => rights.push(record),
                }
            }
            function(key, context, lefts, rights, out)
        });
        grouped.name("co-group")
    }

    /// Pairs each record of the left stream with all of the right one that have the same key and are in the same window. What
    /// `join` makes of a pair has the last timestamp of the window.
    ///
    /// ```
    /// # use snapline_dataflow::{DataStream, SlidingEventTimeWindows};
    /// # use std::time::Duration;
    /// /// What a customer has looked at and bought within ten minutes, told each minute.
    /// fn bought(
    ///     views: &DataStream<(u64, String)>,
    ///     purchases: &DataStream<(u64, String)>,
    /// ) -> DataStream<(u64, String, String)> {
    ///     let minutes = SlidingEventTimeWindows::of(Duration::from_secs(600), Duration::from_secs(60));
    ///     let by_customer = views.connect(purchases).key_by(|view| view.0, |purchase| purchase.0);
    ///     let windows = by_customer.window(minutes);
    ///     windows.join(|view, purchase| (view.0, view.1.clone(), purchase.1.clone()))
    /// }
    /// ```
    pub fn join<U: Data>(&self, join: impl Fn(&A, &B) -> U + Clone + Send + Sync + 'static) -> DataStream<U> {
        let joined = self.co_group(move |_, _, lefts, rights, out| {
            for left in &lefts {
                rights.iter().for_each(|right| out.collect(join(left, right)));
            }
            Ok(())
        });
        joined.name("window-join")
    }
}
