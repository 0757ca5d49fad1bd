//! One event time out of those of several channels.

use snapline_core::Watermark;
use snapline_dataflow::TimeSignal;

/// Merges the watermarks of the channels of a task: the least of those that are neither idle nor behind.
///
/// A state machine without a clock, after the one of Flink. A channel that comes back from being idle and is
/// behind what was said meanwhile does not count until it has caught up.
#[derive(Debug)]
pub(super) struct WatermarkValve {
    channels: Vec<Channel>,
    said: Watermark,
    is_idle: bool,
}

#[derive(Debug, Clone)]
struct Channel {
    watermark: Watermark,
    is_idle: bool,
    /// Whether its watermark counts: it is not idle, and not behind what was said.
    is_aligned: bool,
}

impl WatermarkValve {
    pub(super) fn new(channels: usize) -> Self {
        let channel = Channel {
            watermark: Watermark::MIN,
            is_idle: false,
            is_aligned: true,
        };
        Self {
            channels: vec![channel; channels],
            said: Watermark::MIN,
            is_idle: false,
        }
    }

    /// A channel has delivered a watermark.
    pub(super) fn on_watermark(&mut self, channel: usize, watermark: Watermark) -> Option<TimeSignal> {
        let channel = &mut self.channels[channel];
        if channel.is_idle || watermark <= channel.watermark {
            return None;
        }
        channel.watermark = watermark;
        channel.is_aligned |= watermark >= self.said;
        self.advance()
    }

    /// A channel does not hold back event time for now. With the last one, the task is idle.
    pub(super) fn on_idle(&mut self, channel: usize, told: &mut Vec<TimeSignal>) {
        let channel = &mut self.channels[channel];
        if std::mem::replace(&mut channel.is_idle, true) {
            return;
        }
        channel.is_aligned = false;
        let held_back = channel.watermark == self.said;
        if self.channels.iter().any(|channel| !channel.is_idle) {
            told.extend(held_back.then(|| self.advance()).flatten());
            return;
        }
        if held_back {
            let latest = self.channels.iter().map(|channel| channel.watermark).max();
            told.extend(latest.and_then(|latest| self.say(latest)));
        }
        self.is_idle = true;
        told.push(TimeSignal::Idle);
    }

    /// An idle channel has something to say again.
    pub(super) fn on_active(&mut self, channel: usize) -> Option<TimeSignal> {
        let channel = &mut self.channels[channel];
        if std::mem::replace(&mut channel.is_idle, false) {
            channel.is_aligned = channel.watermark >= self.said;
            return std::mem::take(&mut self.is_idle).then_some(TimeSignal::Active);
        }
        None
    }

    /// Says how far the slowest channel that counts has come.
    fn advance(&mut self) -> Option<TimeSignal> {
        let aligned = self.channels.iter().filter(|channel| channel.is_aligned);
        let least = aligned.map(|channel| channel.watermark).min()?;
        self.say(least)
    }

    fn say(&mut self, watermark: Watermark) -> Option<TimeSignal> {
        if watermark <= self.said {
            return None;
        }
        self.said = watermark;
        Some(TimeSignal::Watermark(watermark))
    }
}

#[cfg(test)]
mod tests;
