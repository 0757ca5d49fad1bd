//! The receiving end of a channel.

use super::header::{breach, first};
use crate::cut::{ChannelCut, RecordedRun};
use crate::handler::ChannelIndex;
use crate::violation::{Breach, ProtocolViolation};
use snapline_core::{AttemptId, BatchHeader, CheckpointId};
use std::collections::VecDeque;

/// The receiving end of a channel: compares each batch and each barrier with what has to come.
///
/// After a violation nothing the channel delivers can be trusted; the task has to fail.
///
/// # Contract
///
/// * A batch is refused unless it carries the attempt, the epoch and the number that the channel
///   stands at.
/// * A barrier is refused unless as many batches were received as were sent before it.
/// * A barrier that overtakes is refused unless at least as many were sent. Those that it overtook have
///   to come with the epoch that they were sent in, and so do markers that it overtook; all of them
///   before anything that was sent after it. Several barriers may overtake the same batches.
/// * Markers come in strictly growing order of the checkpoint id, but for those that were overtaken.
/// * Nothing comes after the end.
/// * What is refused changes nothing.
///
/// # Examples
///
/// A barrier overtakes the second of two batches, which becomes channel state:
///
/// ```
/// use snapline_barrier::{ChannelIndex, ChannelReceiver, ChannelSender, RecordedRun};
/// use snapline_core::{AttemptId, CheckpointId};
///
/// let (attempt, checkpoint) = (AttemptId(1), CheckpointId(1));
/// let mut sender = ChannelSender::new(attempt);
/// let mut receiver = ChannelReceiver::new(ChannelIndex(0), attempt);
/// let (first, second) = (sender.next_header(), sender.next_header());
/// let sent = sender.on_barrier(checkpoint);
///
/// receiver.on_batch(first)?;
/// receiver.on_overtaking_barrier(checkpoint, sent)?;
/// let recorded = vec![RecordedRun { from: 1, to: 2 }];
/// let cut = receiver.recorded_cut(checkpoint, 1, recorded)?;
/// assert_eq!((cut.received, cut.sent), (1, 2));
///
/// receiver.on_batch(second)?;
/// receiver.on_batch(sender.next_header())?;
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone, Hash)]
pub struct ChannelReceiver {
    channel: ChannelIndex,
    /// What the next batch says, unless a barrier that overtook stands before it.
    expected: BatchHeader,
    /// Batches from this number on need a closer look: a barrier that overtook stands before them, or
    /// the end.
    limit: u64,
    /// The newest marker that was delivered, by whichever way.
    latest: Marker,
    /// Barriers whose place was not reached yet, oldest first.
    overtaking: VecDeque<Overtaking>,
    end: ChannelEnd,
}

#[derive(Debug, Clone, Copy, Hash)]
struct Marker {
    checkpoint: CheckpointId,
    /// How many batches came before it, if it is a barrier.
    sent: Option<u64>,
}

/// A barrier that was delivered before batches that were sent before it.
#[derive(Debug, Clone, Copy, Hash)]
struct Overtaking {
    checkpoint: CheckpointId,
    sent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ChannelEnd {
    Open,
    Ended,
}

/// The place before the next batch, and how many of the overtaking barriers stand before that.
#[derive(Debug, Clone, Copy, Hash)]
struct Place {
    expected: BatchHeader,
    passed: usize,
}

impl ChannelReceiver {
    /// The receiving end of a new channel.
    pub fn new(channel: ChannelIndex, attempt: AttemptId) -> Self {
        Self {
            channel,
            expected: first(attempt),
            limit: u64::MAX,
            latest: Marker {
                checkpoint: CheckpointId::NONE,
                sent: None,
            },
            overtaking: VecDeque::new(),
            end: ChannelEnd::Open,
        }
    }

    /// A batch arrived.
    ///
    /// # Errors
    /// `OldAttempt`, `FutureAttempt`, `EpochAhead`, `EpochBehind`, `Gap`, `Repeat`, `OvertakenMissing` or
    /// `AfterEnd`.
    #[inline]
    pub fn on_batch(&mut self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        if header != self.expected || header.seq >= self.limit {
            self.look_closer(header)?;
        }
        self.expected.seq += 1;
        Ok(())
    }

    /// A barrier arrived in its place, and its sender counted `sent` batches before it.
    ///
    /// # Errors
    /// `StaleMarker`, `CountMismatch`, `OvertakenMissing` or `AfterEnd`.
    pub fn on_barrier(&mut self, checkpoint: CheckpointId, sent: u64) -> Result<(), ProtocolViolation> {
        let place = self.check_marker(checkpoint)?;
        if sent != self.received() {
            return Err(self.count_mismatch(checkpoint, sent));
        }
        self.pass_marker(place, checkpoint, Some(sent));
        Ok(())
    }

    /// A barrier arrived ahead of batches that were sent before it and are still to come. Its sender
    /// counted `sent` batches before it.
    ///
    /// # Errors
    /// `StaleMarker`, `CountMismatch`, `CountShrank` or `AfterEnd`.
    pub fn on_overtaking_barrier(
        &mut self,
        checkpoint: CheckpointId,
        sent: u64,
    ) -> Result<(), ProtocolViolation> {
        self.check_open()?;
        if checkpoint <= self.latest.checkpoint {
            return Err(self.stale(checkpoint, self.latest.checkpoint));
        }
        if sent < self.received() {
            return Err(self.count_mismatch(checkpoint, sent));
        }
        if let Some(Overtaking { sent: earlier, .. }) = self.overtaking.back().copied()
            && sent < earlier
        {
            return Err(self.violation(Breach::CountShrank {
                checkpoint,
                sent,
                earlier,
            }));
        }
        self.overtaking.push_back(Overtaking { checkpoint, sent });
        self.latest = Marker {
            checkpoint,
            sent: Some(sent),
        };
        self.set_limit();
        Ok(())
    }

    /// A cancel marker arrived in place of the barrier.
    ///
    /// # Errors
    /// `StaleMarker`, `OvertakenMissing` or `AfterEnd`.
    pub fn on_cancel(&mut self, checkpoint: CheckpointId) -> Result<(), ProtocolViolation> {
        let place = self.check_marker(checkpoint)?;
        self.pass_marker(place, checkpoint, None);
        Ok(())
    }

    /// The end of input arrived. Its header tells how many batches came before it.
    ///
    /// # Errors
    /// As [`Self::on_batch`]: `Gap` when the last batches were lost.
    pub fn on_end_of_input(&mut self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        let place = self.check_header(header)?;
        if let Some(outstanding) = self.overtaking.get(place.passed) {
            return Err(self.overtaken_missing(*outstanding));
        }
        self.pass(place);
        self.end = ChannelEnd::Ended;
        self.set_limit();
        Ok(())
    }

    /// How many batches were ever received.
    pub fn received(&self) -> u64 {
        self.expected.seq
    }

    /// Checks that the channel stands exactly at its barrier of this checkpoint, or ended before it.
    ///
    /// # Errors
    /// `BarrierMissing`, `CutOverrun` or `OvertakenMissing`.
    pub fn check_cut(&self, checkpoint: CheckpointId) -> Result<(), ProtocolViolation> {
        self.check_overrun(checkpoint)?;
        match self.sent_before(checkpoint)? {
            sent if sent == self.received() => Ok(()),
            sent => Err(self.overtaken_missing(Overtaking { checkpoint, sent })),
        }
    }

    /// The cut of the channel in a snapshot that was taken after `received` batches and for which these
    /// batches were recorded, now that the barrier or the end is in.
    ///
    /// # Errors
    /// `BarrierMissing` when neither is, `Flawed` when the snapshot does not have exactly what was sent
    /// before it.
    pub fn recorded_cut(
        &self,
        checkpoint: CheckpointId,
        received: u64,
        recorded: Vec<RecordedRun>,
    ) -> Result<ChannelCut, ProtocolViolation> {
        let sent = self.sent_before(checkpoint)?;
        let cut = ChannelCut {
            received,
            sent,
            recorded,
        };
        match cut.check_exact() {
            Ok(()) => Ok(cut),
            Err(flaw) => Err(self.violation(Breach::Flawed(flaw))),
        }
    }

    /// Checks that the channel has not gone past its barrier of this checkpoint, if that is in.
    pub(super) fn check_overrun(&self, checkpoint: CheckpointId) -> Result<(), ProtocolViolation> {
        let received = self.received();
        match self.latest.sent {
            Some(sent) if self.latest.checkpoint == checkpoint && sent < received => {
                Err(self.violation(Breach::CutOverrun {
                    checkpoint,
                    sent,
                    received,
                }))
            }
            _ => Ok(()),
        }
    }

    /// How many batches were sent before the barrier, or before the end that stands in for it.
    fn sent_before(&self, checkpoint: CheckpointId) -> Result<u64, ProtocolViolation> {
        let Marker {
            checkpoint: epoch,
            sent,
        } = self.latest;
        match sent {
            Some(sent) if epoch == checkpoint => Ok(sent),
            _ if self.end == ChannelEnd::Ended => Ok(self.received()),
            _ => Err(self.violation(Breach::BarrierMissing { checkpoint, epoch })),
        }
    }

    /// A batch may be the first one behind barriers that have overtaken, and is refused otherwise.
    #[cold]
    fn look_closer(&mut self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        let place = self.check_header(header)?;
        self.pass(place);
        Ok(())
    }

    /// Checks that this is the next batch, or the end in its place.
    fn check_header(&self, header: BatchHeader) -> Result<Place, ProtocolViolation> {
        self.check_open()?;
        let place = self.place_before(CheckpointId(u64::MAX));
        let expected = place.expected;
        if header == expected {
            return Ok(place);
        }
        match self.overtaking.get(place.passed) {
            Some(outstanding)
                if header.attempt == expected.attempt && header.epoch >= outstanding.checkpoint =>
            {
                Err(self.overtaken_missing(*outstanding))
            }
            _ => Err(self.violation(breach(header, expected))),
        }
    }

    /// Checks that a marker may be next in its place.
    fn check_marker(&self, checkpoint: CheckpointId) -> Result<Place, ProtocolViolation> {
        self.check_open()?;
        let place = self.place_before(checkpoint);
        let latest = place.expected.epoch;
        if checkpoint <= latest {
            return Err(self.stale(checkpoint, latest));
        }
        if self.overtaking.iter().any(|ahead| ahead.checkpoint == checkpoint) {
            return Err(self.stale(checkpoint, self.latest.checkpoint));
        }
        match self.overtaking.get(place.passed) {
            Some(outstanding) if outstanding.checkpoint < checkpoint => {
                Err(self.overtaken_missing(*outstanding))
            }
            _ => Ok(place),
        }
    }

    fn check_open(&self) -> Result<(), ProtocolViolation> {
        match self.end {
            ChannelEnd::Open => Ok(()),
            ChannelEnd::Ended => Err(self.violation(Breach::AfterEnd {
                received: self.received(),
            })),
        }
    }

    /// The place behind all overtaking barriers older than this checkpoint that stand right here.
    fn place_before(&self, checkpoint: CheckpointId) -> Place {
        let is_here = |ahead: &&Overtaking| ahead.sent == self.received() && ahead.checkpoint < checkpoint;
        let passed = self.overtaking.iter().take_while(is_here);
        let start = Place {
            expected: self.expected,
            passed: 0,
        };
        passed.fold(start, |place, ahead| Place {
            expected: BatchHeader {
                epoch: ahead.checkpoint,
                ..place.expected
            },
            passed: place.passed + 1,
        })
    }

    fn pass(&mut self, place: Place) {
        self.expected = place.expected;
        self.overtaking.drain(..place.passed);
        self.set_limit();
    }

    /// A marker that was overtaken is not the newest one.
    fn pass_marker(&mut self, place: Place, checkpoint: CheckpointId, sent: Option<u64>) {
        self.pass(place);
        self.expected.epoch = checkpoint;
        if checkpoint > self.latest.checkpoint {
            self.latest = Marker { checkpoint, sent };
        }
    }

    fn set_limit(&mut self) {
        let outstanding = self.overtaking.front().map_or(u64::MAX, |ahead| ahead.sent);
        self.limit = match self.end {
            ChannelEnd::Open => outstanding,
            ChannelEnd::Ended => 0,
        };
    }

    #[cold]
    fn violation(&self, breach: Breach) -> ProtocolViolation {
        let channel = self.channel;
        ProtocolViolation { channel, breach }
    }

    fn stale(&self, received: CheckpointId, latest: CheckpointId) -> ProtocolViolation {
        self.violation(Breach::StaleMarker { received, latest })
    }

    fn count_mismatch(&self, checkpoint: CheckpointId, sent: u64) -> ProtocolViolation {
        let received = self.received();
        self.violation(Breach::CountMismatch {
            checkpoint,
            sent,
            received,
        })
    }

    fn overtaken_missing(&self, barrier: Overtaking) -> ProtocolViolation {
        let Overtaking { checkpoint, sent } = barrier;
        let received = self.received();
        self.violation(Breach::OvertakenMissing {
            checkpoint,
            sent,
            received,
        })
    }
}
