//! Event time in an operator that has to do something before a watermark goes on.

use crate::link::{Next, Signal};
use snapline_core::{Result, Watermark};

/// How far event time has come, and what waits behind that which it has brought about.
#[derive(Debug)]
pub(super) struct EventTime {
    watermark: Watermark,
    held: Vec<Held>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Watermark(Watermark),
    Idle,
    Active,
}

impl EventTime {
    pub(super) fn new() -> Self {
        Self {
            watermark: Watermark::MIN,
            held: Vec::new(),
        }
    }

    /// The newest watermark, whether it has gone on or not.
    pub(super) fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// A watermark has come, and does not go on yet. One that is no later than another does not at all.
    pub(super) fn on_watermark(&mut self, watermark: Watermark) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.held.push(Held::Watermark(watermark));
        }
    }

    /// Whether something waits to go on.
    #[inline]
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Holds back another signal, which stays behind the watermark.
    pub(super) fn hold(&mut self, idle_or_active: &Signal<'_>) {
        self.held.extend(match idle_or_active {
            Signal::Idle => Some(Held::Idle),
            Signal::Active => Some(Held::Active),
            _ => None,
        });
    }

    /// Lets all go on that waits.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn pass_on<T>(&mut self, next: &mut Next<T>) -> Result<()> {
        self.held.drain(..).try_for_each(|held| {
            next.on_signal(&mut match held {
                Held::Watermark(watermark) => Signal::Watermark(watermark),
                Held::Idle => Signal::Idle,
                Held::Active => Signal::Active,
            })
        })
    }
}
