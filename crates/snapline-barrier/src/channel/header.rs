//! What the headers of a channel have to say.

use crate::violation::Breach;
use snapline_core::{AttemptId, BatchHeader, CheckpointId};

/// The header of the first batch of a channel.
pub(super) fn first(attempt: AttemptId) -> BatchHeader {
    BatchHeader {
        attempt,
        epoch: CheckpointId::NONE,
        seq: 0,
    }
}

/// Names the difference between two headers that are not equal. The epoch goes before the number:
/// a batch that overtook a barrier usually overtook other batches as well. Not so for a batch that has
/// come before: it is a repetition, whatever the epoch was then.
#[cold]
pub(super) fn breach(received: BatchHeader, expected: BatchHeader) -> Breach {
    let attempts = (received.attempt, expected.attempt);
    let epochs = (received.epoch, expected.epoch);
    let numbers = (received.seq, expected.seq);
    match (attempts, epochs, numbers) {
        ((received, expected), ..) if received < expected => Breach::OldAttempt { received, expected },
        ((received, expected), ..) if received > expected => Breach::FutureAttempt { received, expected },
        (_, (received, expected), _) if received > expected => Breach::EpochAhead { received, expected },
        (.., (received, expected)) if received < expected => Breach::Repeat { received, expected },
        (_, (received, expected), _) if received < expected => Breach::EpochBehind { received, expected },
        (.., (received, expected)) => Breach::Gap { received, expected },
    }
}
