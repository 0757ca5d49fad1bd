//! How a command ends.

use snapline_core::{Error, ErrorKind};
use std::io;

/// What a command that came to its end has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to complain of.
    Fine,
    /// Something is damaged, or two checkpoints differ.
    NotWhole,
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something failed.
    Failed(Error),
    /// Nobody reads the output any more, which is fine.
    ClosedPipe,
}

pub(crate) type Outcome<T = Verdict> = Result<T, Stop>;

/// The exit code of an error: 1 for damage, 2 for what a user has to change or to wait for.
pub(crate) fn code(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Corrupted => 1,
        _ => 2,
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(error.into()),
        }
    }
}
