//! Sources that wait for one another in event time.

use super::millis_of;
use snapline_core::{Error, Result, Timestamp, Watermark};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far a source may be ahead of the others of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) group: String,
    pub(crate) max: Duration,
    /// How often it is seen how far the others are.
    pub(crate) update_interval: Duration,
}

impl Drift {
    /// # Errors
    /// `Invalid` when a source could never go on, or would look at the others without a pause.
    pub(crate) fn check(&self) -> Result<()> {
        let mistake = if self.max.is_zero() {
            "the drift of a watermark alignment must be longer than 0; leave the alignment out when sources need not wait"
        } else if self.update_interval.is_zero() {
            "the update interval of a watermark alignment must be longer than 0, such as a second"
        } else {
            return Ok(());
        };
        Err(Error::invalid(mistake).with("group", &self.group))
    }

    /// How far event time may come where the slowest has come to `least`.
    pub(crate) fn limit(&self, least: Watermark) -> Watermark {
        Watermark(least.0.plus_millis(millis_of(self.max)))
    }
}

/// How far the sources of a job that are aligned in event time have come, group by group.
///
/// The runtime makes one for each run of a job and hands it to all tasks in their
/// [`OperatorContext`](crate::OperatorContext). A source joins its group when its task is built, and leaves it when
/// its data end or its task does.
#[derive(Debug, Default)]
pub struct WatermarkGroups {
    groups: Mutex<BTreeMap<String, Arc<Group>>>,
}

#[derive(Debug, Default)]
struct Group {
    /// What each member says; the end of time when it holds back nobody.
    reported: Mutex<Vec<Arc<AtomicI64>>>,
}

impl WatermarkGroups {
    /// A new member, which holds the others back until it says how far it is.
    pub(crate) fn join(&self, group: &str) -> Member {
        let group = lock(&self.groups).entry(group.to_owned()).or_default().clone();
        let reported = Arc::new(AtomicI64::new(Watermark::MIN.0.0));
        lock(&group.reported).push(reported.clone());
        Member { group, reported }
    }
}

/// A reader in its group, which it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<Group>,
    reported: Arc<AtomicI64>,
}

impl Member {
    /// Says how far it has come; `None` when it is idle.
    pub(crate) fn report(&self, watermark: Option<Watermark>) {
        let watermark = watermark.unwrap_or(Watermark::MAX);
        self.reported.store(watermark.0.0, Ordering::Relaxed);
    }

    /// How far the slowest of the group has come that is not idle; the end of time when all are.
    pub(crate) fn least(&self) -> Watermark {
        let reported = lock(&self.group.reported);
        let least = reported.iter().map(|member| member.load(Ordering::Relaxed)).min();
        Watermark(least.map_or(Timestamp::MAX, Timestamp))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.group.reported).retain(|member| !Arc::ptr_eq(member, &self.reported));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    fn drift(group: &str) -> Drift {
        Drift {
            group: group.to_owned(),
            max: Duration::from_millis(1000),
            update_interval: Duration::from_millis(1),
        }
    }

    /// Up to where the members of the group may read.
    fn limit(member: &Member) -> i64 {
        drift("").limit(member.least()).0.0
    }

    fn at(millis: i64) -> Option<Watermark> {
        Some(Watermark(Timestamp(millis)))
    }

    #[test]
    fn the_slowest_that_is_not_idle_says_how_far_the_others_may_read() {
        let groups = WatermarkGroups::default();
        let (first, second) = (groups.join("a"), groups.join("a"));
        second.report(at(44));
        assert!(limit(&second) < 0, "one has not said anything");
        first.report(at(42));
        assert_eq!(limit(&first), 1042);
        first.report(None);
        assert_eq!(limit(&first), 1044);
        first.report(at(42));
        assert_eq!(limit(&second), 1042);
        first.report(None);
        second.report(None);
        assert_eq!(limit(&first), i64::MAX);
    }

    #[test]
    fn groups_know_nothing_of_one_another_and_who_has_left_holds_back_nobody() {
        let groups = WatermarkGroups::default();
        let (first, second, other) = (groups.join("a"), groups.join("a"), groups.join("b"));
        first.report(at(42));
        second.report(at(44));
        other.report(at(1));
        assert_eq!((limit(&second), limit(&other)), (1042, 1001));
        drop(first);
        assert_eq!(limit(&second), 1044);
    }

    #[test]
    fn a_drift_or_an_interval_of_0_is_refused_with_the_name_of_the_group() {
        let zero = Duration::ZERO;
        assert!(drift("a").check().is_ok());
        let cases = [
            (
                Drift {
                    max: zero,
                    ..drift("a")
                },
                "drift",
            ),
            (
                Drift {
                    update_interval: zero,
                    ..drift("a")
                },
                "interval",
            ),
        ];
        for (drift, word) in cases {
            let error = drift.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = error.to_string();
            assert!(text.contains(word) && text.contains("group"), "{text}");
        }
    }
}
