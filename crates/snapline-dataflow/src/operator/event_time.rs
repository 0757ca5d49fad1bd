//! Event time in an operator that has to do something before a watermark goes on.

use crate::context::OperatorContext;
use crate::link::{Link, Signal, TimeSignal};
use crate::operator::keyed_state::KeyedState;
use crate::snapshot::TaskSnapshot;
use serde::{Deserialize, Serialize};
use snapline_core::{BarrierAlignment, KeyGroupRange, MaxParallelism, Result, Watermark};
use snapline_state::OperatorState;
use std::task::{Context, Poll, ready};

/// How far event time has come, and what waits behind that which it has brought about.
///
/// A snapshot may be taken while a watermark waits. It then has the watermark beside the timers that it has not
/// fired yet, so that they fire first thing after a restore: no later record comes before them.
#[derive(Debug)]
pub(super) struct EventTime {
    watermark: Watermark,
    held: Vec<TimeSignal>,
    key_groups: KeyGroupRange,
    max_parallelism: MaxParallelism,
}

/// A watermark that had not gone on when a snapshot was taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    watermark: Watermark,
    key_groups: KeyGroupRange,
    max_parallelism: MaxParallelism,
    /// Whether all subtasks had come to the same watermark.
    is_aligned: bool,
}

/// The name of the list of those in the state of an operator.
const HELD: &str = "held watermark";

impl EventTime {
    /// Nothing is known of event time but what the snapshot says that is restored.
    ///
    /// # Errors
    /// `Invalid` when the snapshot has something else.
    pub(super) fn restore(context: &OperatorContext) -> Result<Self> {
        let mut event_time = Self {
            watermark: Watermark::MIN,
            held: Vec::new(),
            key_groups: context.key_groups(),
            max_parallelism: context.max_parallelism,
        };
        let mut stored = Vec::new();
        for state in context.restored.operator_of_all.iter() {
            stored.extend(state.items::<Stored>(HELD)?);
        }
        if let Some(watermark) = event_time.resumed_at(&stored) {
            event_time.on_watermark(watermark);
        }
        Ok(event_time)
    }

    /// The watermark whose timers have to fire: one that all had come to from whom there are timers here. Where a
    /// barrier has overtaken records, only those subtasks had that say so.
    fn resumed_at(&self, stored: &[Stored]) -> Option<Watermark> {
        let own = self.key_groups;
        let shared = |stored: &Stored| stored.key_groups.intersection(own).len();
        let of_own = |stored: &&Stored| stored.max_parallelism == self.max_parallelism && shared(stored) > 0;
        let stored: Vec<_> = stored.iter().filter(of_own).collect();
        let is_of_all = stored.iter().map(|stored| shared(stored)).sum::<u32>() == own.len();
        let holds_here = is_of_all || stored.iter().all(|stored| stored.is_aligned);
        let earliest = stored.iter().map(|stored| stored.watermark).min();
        earliest.filter(|_| holds_here)
    }

    /// Freezes the state of an operator together with a watermark that waits.
    ///
    /// # Errors
    /// As [`KeyedState::freeze_with`].
    pub(super) fn freeze(&self, keyed: &mut KeyedState, snapshot: &mut TaskSnapshot) -> Result<()> {
        self.freeze_with(OperatorState::new(), keyed, snapshot)
    }

    /// The same with operator state, in which there are no lists.
    ///
    /// # Errors
    /// As [`KeyedState::freeze_with`].
    pub(super) fn freeze_with(
        &self,
        mut state: OperatorState,
        keyed: &mut KeyedState,
        snapshot: &mut TaskSnapshot,
    ) -> Result<()> {
        self.write_to(&mut state, snapshot.barrier.options.alignment)?;
        keyed.freeze_with(state, snapshot)
    }

    /// Writes down what a snapshot has to know of a watermark that waits. Not at the end of event time: the data end with it, and
    /// whoever said so says so again.
    ///
    /// # Errors
    /// `Invalid`, which does not happen.
    fn write_to(&self, state: &mut OperatorState, alignment: BarrierAlignment) -> Result<()> {
        if self.is_held() && self.watermark < Watermark::MAX {
            let stored = Stored {
                watermark: self.watermark,
                key_groups: self.key_groups,
                max_parallelism: self.max_parallelism,
                is_aligned: alignment == BarrierAlignment::Aligned,
            };
            state.push(HELD, &stored)?;
        }
        Ok(())
    }

    /// The newest watermark, whether it has gone on or not.
    pub(super) fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// A watermark has come, and does not go on yet. One that is no later than another does not at all.
    pub(super) fn on_watermark(&mut self, watermark: Watermark) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.held.push(TimeSignal::Watermark(watermark));
        }
    }

    /// Whether something waits to go on.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Holds back another signal, which stays behind the watermark.
    pub(super) fn hold(&mut self, idle_or_active: &Signal<'_>) {
        self.held.extend(TimeSignal::of(idle_or_active));
    }

    /// Lets all go on that waits.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn pass_on<T>(&mut self, next: &mut (impl Link<T> + ?Sized)) -> Result<()> {
        let mut held = self.held.drain(..);
        held.try_for_each(|held| next.on_signal(&mut held.into()))
    }
}

/// Ready when nothing waits to go on and what is behind has room: for an operator that does some of what a watermark brings about
/// in each `step`, so that it comes before any later record and other work of the task gets its turn in between.
///
/// # Errors
/// Those of the operator and those behind.
pub(super) fn poll_caught_up<L>(
    link: &mut L,
    cx: &mut Context<'_>,
    event_time: fn(&L) -> &EventTime,
    step: fn(&mut L) -> Result<()>,
    poll_next: fn(&mut L, &mut Context<'_>) -> Poll<Result<()>>,
) -> Poll<Result<()>> {
    ready!(poll_next(link, cx))?;
    if !event_time(link).is_held() {
        return Poll::Ready(Ok(()));
    }
    step(link)?;
    if event_time(link).is_held() {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    // What has come out may have filled what is behind.
    poll_next(link, cx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::operator_context;
    use snapline_core::{ManualClock, SubtaskIndex, Timestamp};
    use std::sync::Arc;

    /// The watermark that a subtask of another parallelism goes on with, when these of two have held theirs.
    fn resumed(
        [first, second]: [Option<i64>; 2],
        alignment: BarrierAlignment,
        (subtask, parallelism): (u32, u32),
    ) -> Option<i64> {
        let context = |subtask, parallelism| {
            let mut context = operator_context(Arc::new(ManualClock::default()));
            (context.subtask, context.parallelism) = (SubtaskIndex(subtask), parallelism);
            context
        };
        let frozen = |(subtask, watermark): (u32, Option<i64>)| {
            let mut event_time = EventTime::restore(&context(subtask, 2)).unwrap();
            let watermark = watermark.map(|watermark| Watermark(Timestamp(watermark)));
            watermark
                .into_iter()
                .for_each(|watermark| event_time.on_watermark(watermark));
            let mut state = OperatorState::new();
            event_time.write_to(&mut state, alignment).unwrap();
            state
        };
        let mut restored = context(subtask, parallelism);
        restored.restored.operator_of_all = [(0, first), (1, second)].map(frozen).into();
        let event_time = EventTime::restore(&restored).unwrap();
        assert_eq!(event_time.is_held(), event_time.watermark() > Watermark::MIN);
        event_time.is_held().then_some(event_time.watermark().0.0)
    }

    #[test]
    fn a_watermark_that_was_held_is_held_again_wherever_its_timers_are() {
        use BarrierAlignment::{Aligned, Unaligned};
        let cases = [
            ([Some(7), None], Aligned, (0, 2), Some(7)),
            ([Some(7), None], Aligned, (1, 2), None),
            ([Some(7), None], Unaligned, (0, 2), Some(7)),
            // All had come to the same watermark, so those without timers as well.
            ([Some(7), None], Aligned, (0, 1), Some(7)),
            ([Some(7), None], Unaligned, (0, 1), None),
            ([Some(7), Some(5)], Unaligned, (0, 1), Some(5)),
            ([Some(7), None], Unaligned, (1, 4), Some(7)),
            ([Some(7), None], Unaligned, (2, 4), None),
            ([Some(7), None], Unaligned, (1, 3), None),
            ([Some(7), None], Aligned, (1, 3), Some(7)),
            ([Some(i64::MAX), None], Aligned, (0, 2), None),
            ([None, None], Aligned, (0, 2), None),
        ];
        for (held, alignment, subtask, expected) in cases {
            let found = resumed(held, alignment, subtask);
            assert_eq!(found, expected, "{held:?} {alignment:?} {subtask:?}");
        }
    }
}
