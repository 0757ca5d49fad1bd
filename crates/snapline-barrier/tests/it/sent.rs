//! What a correct sender puts on a channel.

use snapline_barrier::ChannelSender;
use snapline_core::{AttemptId, BatchHeader, CheckpointId};

/// What a channel delivers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Batch(BatchHeader),
    Barrier(CheckpointId, u64),
    Overtaking(CheckpointId, u64),
    Cancel(CheckpointId),
    End(BatchHeader),
}

impl Element {
    /// The checkpoint that it is about, if it is a marker.
    pub(crate) fn marker(self) -> Option<CheckpointId> {
        match self {
            Self::Barrier(checkpoint, _) | Self::Overtaking(checkpoint, _) | Self::Cancel(checkpoint) => {
                Some(checkpoint)
            }
            Self::Batch(_) | Self::End(_) => None,
        }
    }
}

/// What a correct sender puts on a channel: `-` a batch, `|` the next barrier, `x` the next cancel
/// marker, `.` the end.
pub(crate) fn send(attempt: AttemptId, script: &str) -> Vec<Element> {
    let (mut sender, mut checkpoint) = (ChannelSender::new(attempt), CheckpointId::NONE);
    let put = |symbol| {
        if "|x".contains(symbol) {
            checkpoint = checkpoint.next();
        }
        match symbol {
            '-' => Element::Batch(sender.next_header()),
            '|' => Element::Barrier(checkpoint, sender.on_barrier(checkpoint)),
            'x' => {
                sender.on_cancel(checkpoint);
                Element::Cancel(checkpoint)
            }
            _ => Element::End(sender.header()),
        }
    };
    script.chars().map(put).collect()
}
