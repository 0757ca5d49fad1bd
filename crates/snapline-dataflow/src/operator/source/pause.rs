//! A reader, or some of its splits, that wait until the others of the group have caught up.

use crate::context::{OperatorContext, Sleeper};
use crate::time::alignment::{Drift, Member};
use crate::time::split_watermarks::SplitWatermarks;
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
    /// The splits that wait while the reader reads others, and what wakes it to look whether they still have to.
    splits: Vec<usize>,
    splits_sleep: Option<BoxFuture<'static, ()>>,
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
            splits: Vec::new(),
            splits_sleep: None,
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

    /// Looks which splits are too far ahead, and makes sure that the task is woken to look again while there are any. Returns
    /// them when they are others than before.
    pub(super) fn splits_ahead(&mut self, cx: &mut Context<'_>, all: &SplitWatermarks) -> Option<&[usize]> {
        if all.beyond(self.limit).any(|split| !self.splits.contains(&split)) {
            self.look();
        }
        while all.beyond(self.limit).next().is_some() {
            let sleep = || self.sleeper.sleep(self.drift.update_interval);
            if self
                .splits_sleep
                .get_or_insert_with(sleep)
                .poll_unpin(cx)
                .is_pending()
            {
                break;
            }
            self.splits_sleep = None;
            self.look();
        }
        if self.splits.iter().copied().eq(all.beyond(self.limit)) {
            return None;
        }
        self.splits = all.beyond(self.limit).collect();
        Some(&self.splits)
    }

    /// The splits that wait for others while the reader reads on.
    pub(super) fn waiting_splits(&self) -> &[usize] {
        &self.splits
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
        if self.watermark > self.limit || self.clock.monotonic() >= self.next_look {
            self.look();
        }
        self.watermark > self.limit
    }

    fn look(&mut self) {
        self.limit = match &self.member {
            Some(member) => self.drift.limit(member.least()),
            None => Watermark::MAX,
        };
        self.next_look = self.clock.monotonic().saturating_add(self.drift.update_interval);
    }
}
