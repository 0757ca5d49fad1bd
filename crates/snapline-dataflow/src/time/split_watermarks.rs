//! One event time out of those of several splits.

use snapline_core::Watermark;
use std::collections::BTreeMap;

/// Combines the watermarks of the splits that a reader has: the least of those that are not idle.
///
/// A state machine without a clock. Splits are named by their numbers.
#[derive(Debug)]
pub(crate) struct SplitWatermarks {
    splits: BTreeMap<usize, Split>,
    combined: Watermark,
    is_idle: bool,
}

#[derive(Debug)]
struct Split {
    watermark: Watermark,
    is_idle: bool,
}

/// What follows for all splits together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combined {
    Watermark(Watermark),
    Idle,
    Active,
}

impl SplitWatermarks {
    pub(crate) fn new() -> Self {
        Self {
            splits: BTreeMap::new(),
            combined: Watermark::MIN,
            is_idle: false,
        }
    }

    /// There is another split. It holds event time back until it has a watermark.
    pub(crate) fn add(&mut self, split: usize) {
        let new = Split {
            watermark: Watermark::MIN,
            is_idle: false,
        };
        self.splits.insert(split, new);
    }

    /// A split is read to its end. Event time advances with the next watermark of another one.
    pub(crate) fn remove(&mut self, split: usize) {
        self.splits.remove(&split);
    }

    /// A record of the split has come: it is not idle.
    pub(crate) fn on_activity(&mut self, split: usize) -> Option<Combined> {
        if let Some(split) = self.splits.get_mut(&split) {
            split.is_idle = false;
        }
        std::mem::take(&mut self.is_idle).then_some(Combined::Active)
    }

    /// The event time of a split has advanced.
    pub(crate) fn on_watermark(&mut self, split: usize, watermark: Watermark) -> Option<Combined> {
        let split = self.splits.get_mut(&split)?;
        if watermark <= split.watermark {
            return None;
        }
        split.watermark = watermark;
        self.advance()
    }

    /// Nothing comes from a split for now. With the last one, nothing comes at all.
    pub(crate) fn on_idle(&mut self, split: usize) -> Option<Combined> {
        self.splits.get_mut(&split)?.is_idle = true;
        if self.splits.values().all(|split| split.is_idle) {
            return (!std::mem::replace(&mut self.is_idle, true)).then_some(Combined::Idle);
        }
        self.advance()
    }

    /// All splits are read, and others may be added: nothing comes for now.
    pub(crate) fn on_rest(&mut self) -> Option<Combined> {
        self.splits.values_mut().for_each(|split| split.is_idle = true);
        (!std::mem::replace(&mut self.is_idle, true)).then_some(Combined::Idle)
    }

    /// Splits were added to a reader that may have been at rest.
    pub(crate) fn on_added(&mut self) -> Option<Combined> {
        std::mem::take(&mut self.is_idle).then_some(Combined::Active)
    }

    /// How far the slowest split has come that is not idle, if there is one.
    pub(crate) fn least(&self) -> Option<Watermark> {
        let active = self.splits.values().filter(|split| !split.is_idle);
        active.map(|split| split.watermark).min()
    }

    /// The splits that are not idle and have come further than this.
    pub(crate) fn beyond(&self, limit: Watermark) -> impl Iterator<Item = usize> {
        let is_beyond = move |split: &Split| !split.is_idle && split.watermark > limit;
        let splits = self.splits.iter().filter(move |(_, split)| is_beyond(split));
        splits.map(|(number, _)| *number)
    }

    fn advance(&mut self) -> Option<Combined> {
        let least = self.least()?;
        if least <= self.combined {
            return None;
        }
        self.combined = least;
        Some(Combined::Watermark(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::Timestamp;

    fn to(millis: i64) -> Option<Combined> {
        Some(Combined::Watermark(Watermark(Timestamp(millis))))
    }

    /// Steps like `a=5` (watermark), `a idle`, `a on` (a record), `a+`, `a-`, and what is expected.
    fn check(steps: &[(&str, Option<Combined>)]) {
        let mut splits = SplitWatermarks::new();
        for (step, expected) in steps {
            let split = usize::from(step.as_bytes()[0] - b'a');
            let found = match &step[1..] {
                "+" => {
                    splits.add(split);
                    None
                }
                "-" => {
                    splits.remove(split);
                    None
                }
                " on" => splits.on_activity(split),
                " idle" => splits.on_idle(split),
                " rest" => splits.on_rest(),
                " new" => {
                    splits.add(split);
                    splits.on_added()
                }
                watermark => {
                    let millis = watermark[1..].parse().unwrap();
                    splits.on_watermark(split, Watermark(Timestamp(millis)))
                }
            };
            assert_eq!(found, *expected, "{step} of {steps:?}");
        }
    }

    #[test]
    fn the_least_of_those_that_are_not_idle_counts_and_event_time_never_goes_back() {
        check(&[
            ("a+", None),
            ("b+", None),
            ("a=2", None),
            ("b=5", to(2)),
            ("a idle", to(5)),
            ("a on", None),
            ("a=3", None),
            ("b=9", None),
            ("a=7", to(7)),
        ]);
    }

    #[test]
    fn without_the_slowest_split_event_time_waits_for_the_next_watermark() {
        check(&[
            ("a+", None),
            ("b+", None),
            ("a=2", None),
            ("b=5", to(2)),
            ("a-", None),
            ("b=6", to(6)),
        ]);
    }

    #[test]
    fn without_splits_there_is_neither_a_watermark_nor_idleness() {
        check(&[
            ("a+", None),
            ("a=4", to(4)),
            ("a-", None),
            ("a=9", None),
            ("a idle", None),
        ]);
    }

    #[test]
    fn a_new_split_holds_event_time_back_but_not_below_what_was_said() {
        check(&[
            ("a+", None),
            ("a=5", to(5)),
            ("b+", None),
            ("a=8", None),
            ("b=1", None),
            ("b=6", to(6)),
        ]);
    }

    #[test]
    fn a_reader_that_has_read_all_is_idle_until_there_is_another_split() {
        check(&[
            ("a rest", Some(Combined::Idle)),
            ("a rest", None),
            ("a new", Some(Combined::Active)),
            ("a on", None),
            ("a=4", to(4)),
            ("a-", None),
            ("a rest", Some(Combined::Idle)),
            ("b new", Some(Combined::Active)),
            ("b=3", None),
            ("b=6", to(6)),
        ]);
    }

    #[test]
    fn all_are_idle_once_and_active_with_the_first_record() {
        check(&[
            ("a+", None),
            ("b+", None),
            ("a idle", None),
            ("b idle", Some(Combined::Idle)),
            ("b idle", None),
            ("a on", Some(Combined::Active)),
            ("a on", None),
            ("a=1", to(1)),
        ]);
    }
}
