//! A reader that waits until the others of its group have caught up.

use crate::context::{OperatorContext, Sleeper};
use crate::time::alignment::{Drift, Member};
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_core::{Clock, Watermark};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Says how far a reader is, and holds it back while it is too far ahead.
pub(super) struct Pause {
    drift: Drift,
    /// `None` once the data have ended.
    member: Option<Member>,
    clock: Arc<dyn Clock>,
    sleeper: Arc<dyn Sleeper>,
    /// How far the reader has come.
    watermark: Watermark,
    /// How far it may come, as far as it knows.
    limit: Watermark,
    /// When it looks again how far the others are, by the monotonic clock.
    next_look: Duration,
    sleep: Option<BoxFuture<'static, ()>>,
}

impl Pause {
    /// Joins the group.
    pub(super) fn new(drift: Drift, context: &OperatorContext) -> Self {
        Self {
            member: Some(context.watermarks.join(&drift.group)),
            drift,
            clock: context.clock.clone(),
            sleeper: context.sleeper.clone(),
            watermark: Watermark::MIN,
            limit: Watermark::MIN,
            next_look: Duration::ZERO,
            sleep: None,
        }
    }

    /// The reader has come so far; `None` when it is idle. It never goes back.
    pub(super) fn report(&mut self, watermark: Option<Watermark>) {
        self.watermark = watermark.map_or(self.watermark, |new| new.max(self.watermark));
        if let Some(member) = &self.member {
            member.report(watermark.map(|_| self.watermark));
        }
    }

    /// Nothing more is read.
    pub(super) fn leave(&mut self) {
        self.member = None;
    }

    /// Whether the reader waits for others.
    pub(super) fn is_waiting(&self) -> bool {
        self.sleep.is_some()
    }

    /// Ready when the reader may read on.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.poll_unpin(cx));
                self.sleep = None;
            }
            if !self.is_ahead() {
                return Poll::Ready(());
            }
            self.sleep = Some(self.sleeper.sleep(self.drift.update_interval));
        }
    }

    /// Looks at the others each interval, and before the reader is held back: the limit may have moved on.
    fn is_ahead(&mut self) -> bool {
        let Some(member) = &self.member else {
            return false;
        };
        let now = self.clock.monotonic();
        if self.watermark > self.limit || now >= self.next_look {
            self.limit = self.drift.limit(member.least());
            self.next_look = now.saturating_add(self.drift.update_interval);
        }
        self.watermark > self.limit
    }
}
