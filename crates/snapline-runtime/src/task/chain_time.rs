//! Tells a chain of processing time.

use super::Reporter;
use futures::future::BoxFuture;
use snapline_core::{Result, Timestamp};
use snapline_dataflow::Alarm;
use std::task::{Context, Poll};
use std::time::Duration;

/// When a chain has to be told of the time, and what wakes the task then.
///
/// A chain in which nobody listens is told once.
pub(super) struct ChainTime {
    is_heard: bool,
    timer: Option<(Timestamp, BoxFuture<'static, ()>)>,
}

impl ChainTime {
    pub(super) fn new() -> Self {
        Self {
            is_heard: true,
            timer: None,
        }
    }

    /// Whether the chain wants to know the time.
    pub(super) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Tells the chain the time until nothing is due, and lets the task be woken when something is.
    ///
    /// # Errors
    /// Those of the operators.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reporter: &Reporter,
        mut tell: impl FnMut(&mut Alarm) -> Result<()>,
    ) -> Result<()> {
        let now = reporter.clock.now();
        let mut alarm = Alarm::new(now);
        tell(&mut alarm)?;
        self.is_heard = alarm.is_heard();
        let timer = self.timer.take();
        let Some(at) = alarm.next() else {
            return Ok(());
        };
        let (_, timer) = self.timer.insert(match timer {
            Some((until, timer)) if until == at => (until, timer),
            _ => {
                let sleep = Duration::from_millis(at.millis_since(now));
                (at, reporter.executor.sleep(sleep))
            }
        });
        if timer.as_mut().poll(cx) == Poll::Ready(()) {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}
