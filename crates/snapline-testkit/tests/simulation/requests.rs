//! Jobs that ask the outside world and get answers late, in another order, or not at first.

use snapline_core::{AlignmentSettings, Error, Result, Timestamp};
use snapline_dataflow::{AsyncIo, AsyncRetry, TumblingEventTimeWindows, WatermarkStrategy};
use snapline_testkit::simulation::{Report, Simulation};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

const RECORDS: u64 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The record, after others have had their turn so many times.
async fn late<T>(record: T, turns: u64) -> Result<T> {
    let mut left = turns;
    let turn = poll_fn(move |cx| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    turn.await;
    Ok(record)
}

/// An outside world that is down when it is asked about something for the first time.
#[derive(Clone, Default)]
struct DownAtFirst(Arc<Mutex<BTreeSet<u64>>>);

impl DownAtFirst {
    /// The record, after so many turns and at the second attempt.
    fn ask(&self, record: u64, turns: u64) -> impl Future<Output = Result<u64>> + use<> {
        let is_down = self.0.lock().unwrap().insert(record);
        async move {
            let record = late(record, turns).await?;
            match is_down {
                true => Err(Error::unavailable("nobody there")),
                false => Ok(record),
            }
        }
    }
}

/// Answers in the order of the records.
pub(crate) fn asked_in_order(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let retry = AsyncRetry::fixed(3, Duration::from_millis(3));
            let settings = AsyncIo::ordered(MINUTE).capacity(4).retry(retry);
            let outside = DownAtFirst::default();
            env.from_source(world.source(0..RECORDS), "numbers")
                .rebalance()
                .async_map(settings, move |number| outside.ask(number, number % 5))
                .map(|number| number * 2)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| number * 2))
}

/// Answers as they come, in one task with the source, counted by windows that no watermark may reach too early.
pub(crate) fn asked_in_any_order(seeds: Range<u64>) -> Report {
    let sums = (0..RECORDS / 10).map(|window| (window * 10..(window + 1) * 10).sum::<u64>());
    Simulation::seeds(seeds)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
            let strategy = strategy.with_timestamp_assigner(|number| Timestamp(*number as i64));
            let numbers = world.source(0..RECORDS);
            env.from_source_with_watermarks(numbers, strategy, "numbers")
                .async_map(AsyncIo::unordered(MINUTE).capacity(7), |number| {
                    late(number, number * 7 % 11)
                })
                .key_by(|_| 0_u8)
                .window(TumblingEventTimeWindows::of(Duration::from_millis(10)))
                .reduce(|sum, number| *sum += number)
                .sink_to(world.sink());
        })
        .expect_exactly_once(sums)
}

/// Each number is asked about until it is small: a loop is not over while answers are to come.
pub(crate) fn asked_in_a_loop(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=2)
        .run(|env, world| {
            let retry = AsyncRetry::fixed(2, Duration::from_millis(15));
            let settings = AsyncIo::unordered(MINUTE).capacity(3).retry(retry);
            let outside = DownAtFirst::default();
            env.from_source(world.source(0..RECORDS / 2), "numbers")
                .iterate(|numbers| {
                    let smaller = numbers
                        .async_map(settings, move |number| outside.ask(number, number % 4))
                        .map(|number| if number < 5 { number } else { number - 5 });
                    (
                        smaller.filter(|number| *number >= 5),
                        smaller.filter(|number| *number < 5),
                    )
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS / 2).map(|number| number % 5))
}
