//! Processing time, as a chain is told of it.

use snapline_core::Timestamp;

/// What a chain is told of processing time, and when it wants to be told again.
///
/// A chain is told at its start, and as long as one of its operators says that it wants to
/// [`listen`](Self::listen): whenever its task has done something, and at the times for which an
/// operator has asked with [`wake_at`](Self::wake_at). So a job in which nobody listens pays nothing.
///
/// ```
/// use snapline_core::Timestamp;
/// use snapline_dataflow::Alarm;
///
/// let mut alarm = Alarm::new(Timestamp(1_000));
/// alarm.wake_at(Timestamp(1_500));
/// alarm.wake_at(Timestamp(1_200));
/// assert_eq!((alarm.next(), alarm.is_heard()), (Some(Timestamp(1_200)), true));
/// ```
#[derive(Debug)]
pub struct Alarm {
    now: Timestamp,
    next: Option<Timestamp>,
    is_heard: bool,
}

impl Alarm {
    /// It is this time, and nobody has asked for anything yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            next: None,
            is_heard: false,
        }
    }

    /// The time of now, by the clock of the job.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The operator wants to be told of the time again, for it may wait for a time later.
    pub fn listen(&mut self) {
        self.is_heard = true;
    }

    /// The operator wants to be told when it is this time.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.is_heard = true;
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// The earliest time that somebody waits for.
    pub fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether anybody wants to be told again.
    pub fn is_heard(&self) -> bool {
        self.is_heard
    }
}
