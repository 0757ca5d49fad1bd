//! How active each bidder is: q11 in sessions, q12 by the clock.

use super::count::Count;
use super::event::Event;
use super::streams::bids;
use serde::{Deserialize, Serialize};
use snapline::dataflow::{Trigger, TriggerContext, TriggerResult};
use snapline::prelude::*;
use std::time::Duration;

/// For how long a bidder does nothing between two sessions, in seconds.
pub(crate) const GAP_SECONDS: u64 = 10;

/// How long a window by the clock is, in seconds.
const WINDOW_SECONDS: u64 = 10;

/// How many bids somebody made, from a time until another, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Activity {
    pub(crate) bidder: u64,
    pub(crate) bids: u64,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// q11: how many bids each bidder makes in a session, when it has ended for all subtasks.
pub(super) fn q11(events: &DataStream<Event>) -> DataStream<Activity> {
    bids(events)
        .key_by(|bid| bid.bidder)
        .window(EventTimeSessionWindows::with_gap(Duration::from_secs(
            GAP_SECONDS,
        )))
        .aggregate_with(Count, activity)
}

/// q12: how many bids of each bidder arrive in ten seconds by the clock.
///
/// Which bids are in a window depends on when it was, so only the sum of all counts is always the same.
pub(super) fn q12(events: &DataStream<Event>) -> DataStream<Activity> {
    bids(events)
        .key_by(|bid| bid.bidder)
        .window(TumblingProcessingTimeWindows::of(Duration::from_secs(
            WINDOW_SECONDS,
        )))
        .trigger(ByTheClockOrAtTheEnd)
        .aggregate_with(Count, activity)
}

fn activity(
    bidder: &u64,
    context: &WindowContext<'_, TimeWindow>,
    bids: u64,
    out: &mut Collector<'_, Activity>,
) -> snapline::Result<()> {
    out.collect(Activity {
        bidder: *bidder,
        bids,
        from: context.window().start().0,
        until: context.window().end().0,
    });
    Ok(())
}

/// Emits windows of the clock when their time has come. Windows that are open when the events end would never see it: they are
/// emitted when event time has come to its end.
#[derive(Clone)]
struct ByTheClockOrAtTheEnd;

impl<T> Trigger<T, TimeWindow> for ByTheClockOrAtTheEnd {
    type State = ();

    fn on_element(
        &self,
        _: &T,
        window: &TimeWindow,
        (): &mut (),
        context: &mut TriggerContext,
    ) -> TriggerResult {
        context.add_processing_time_timer(Timestamp(window.end().0 - 1));
        context.add_event_time_timer(Timestamp::MAX);
        TriggerResult::Continue
    }

    fn on_event_time(
        &self,
        _: Timestamp,
        _: &TimeWindow,
        (): &mut (),
        _: &mut TriggerContext,
    ) -> TriggerResult {
        TriggerResult::FireAndPurge
    }

    fn on_processing_time(
        &self,
        _: Timestamp,
        _: &TimeWindow,
        (): &mut (),
        _: &mut TriggerContext,
    ) -> TriggerResult {
        TriggerResult::FireAndPurge
    }
}
