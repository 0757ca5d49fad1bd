//! When a stream counts as idle.

use super::millis_of;
use snapline_core::Timestamp;
use std::time::Duration;

/// Notices that nothing has come for longer than a timeout.
///
/// The time of inactivity begins with the first check that sees none, not with the last record: who is not
/// asked does not look at a clock.
#[derive(Debug, Clone)]
pub(crate) struct Idleness {
    timeout: u64,
    was_active: bool,
    is_idle: bool,
    since: Option<Timestamp>,
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// It has just become idle.
    Idle,
    /// It is not idle; it can be at this time.
    Again(Timestamp),
    /// It is idle, as before.
    Still,
}

impl Idleness {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout: millis_of(timeout),
            was_active: false,
            is_idle: false,
            since: None,
        }
    }

    /// Something has come. Returns whether it was idle.
    pub(crate) fn on_activity(&mut self) -> bool {
        self.was_active = true;
        std::mem::take(&mut self.is_idle)
    }

    /// Nothing can come, for a reason that is not the stream's: the time of inactivity begins anew.
    pub(crate) fn hold(&mut self) {
        self.was_active = !self.is_idle;
    }

    pub(crate) fn check(&mut self, now: Timestamp) -> Check {
        if self.is_idle {
            return Check::Still;
        }
        if std::mem::take(&mut self.was_active) {
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        if now.millis_since(since) > self.timeout {
            self.is_idle = true;
            self.since = None;
            return Check::Idle;
        }
        Check::Again(since.plus_millis(self.timeout).plus_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `e` is an event; a number is a check at this time, with what it finds.
    fn check(steps: &[(&str, Option<Check>)]) {
        let mut idleness = Idleness::new(Duration::from_millis(10));
        for (step, expected) in steps {
            match step.parse() {
                Ok(now) => assert_eq!(
                    Some(idleness.check(Timestamp(now))),
                    *expected,
                    "{steps:?} at {step}"
                ),
                Err(_) => _ = idleness.on_activity(),
            }
        }
    }

    #[test]
    fn a_stream_is_idle_once_after_more_than_the_timeout_without_a_record() {
        let again = |at| Some(Check::Again(Timestamp(at)));
        let (idle, still) = (Some(Check::Idle), Some(Check::Still));
        check(&[
            ("1000", again(1011)),
            ("1010", again(1011)),
            ("1011", idle),
            ("2000", still),
        ]);
        check(&[
            ("e", None),
            ("5", again(16)),
            ("16", idle),
            ("e", None),
            ("17", again(28)),
            ("28", idle),
        ]);
        check(&[
            ("0", again(11)),
            ("e", None),
            ("11", again(22)),
            ("21", again(22)),
            ("22", idle),
        ]);
    }

    #[test]
    fn the_time_begins_with_the_first_check() {
        check(&[("e", None), ("5000", Some(Check::Again(Timestamp(5011))))]);
    }

    #[test]
    fn a_stream_that_is_held_up_does_not_become_idle_and_one_that_is_idle_stays_so() {
        let mut idleness = Idleness::new(Duration::from_millis(10));
        assert_eq!(idleness.check(Timestamp(0)), Check::Again(Timestamp(11)));
        idleness.hold();
        assert_eq!(idleness.check(Timestamp(11)), Check::Again(Timestamp(22)));
        assert_eq!(idleness.check(Timestamp(22)), Check::Idle);
        idleness.hold();
        assert_eq!(idleness.check(Timestamp(23)), Check::Still);
        assert!(idleness.on_activity());
    }

    #[test]
    fn activity_tells_whether_it_ends_idleness() {
        let mut idleness = Idleness::new(Duration::from_millis(1));
        assert!(!idleness.on_activity());
        _ = (idleness.check(Timestamp(0)), idleness.check(Timestamp(5)));
        assert!(idleness.on_activity());
        assert!(!idleness.on_activity());
    }
}
