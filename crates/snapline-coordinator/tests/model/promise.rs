//! What has to hold in every run.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The snapshots of a checkpoint, with what it has of channels, are a consistent cut.
    ConsistentCut,
    /// Everything that was read gets everywhere and into the output.
    NoLoss,
    /// Nothing gets anywhere twice.
    NoDuplicate,
    /// Whatever can be read is read, and whatever was sent arrives.
    NoDeadlock,
    /// No run goes on for ever.
    NoLivelock,
    /// Whoever asks for a checkpoint gets one answer, a true one, and nothing of a checkpoint stays pending.
    EveryTriggerEnds,
    /// Markers, headers and counts are what receivers expect of them, and what comes late changes nothing.
    Protocol,
}

/// A broken promise, in words.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    text: String,
}

pub(crate) type Outcome = Result<(), Violation>;

impl Promise {
    pub(crate) fn broken(self, text: impl Into<String>) -> Violation {
        let (promise, text) = (self, text.into());
        Violation { promise, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.text)
    }
}
