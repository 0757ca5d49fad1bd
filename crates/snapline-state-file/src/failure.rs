//! What a failure of the file system means to the caller.

use snapline_core::Error;
use std::io::{self, ErrorKind};
use std::path::Path;

/// While the storage is in use: nearly everything passes, as when a full disk is cleared.
pub(crate) fn of_object(message: &str, path: &Path, error: io::Error) -> Error {
    let error = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => Error::invalid(
            "on a file system a key cannot be an object and a folder at once; give one of them another name",
        )
        .because(error),
        ErrorKind::InvalidFilename => {
            Error::invalid("the key is too long for the file system").because(error)
        }
        _ => Error::unavailable(message).because(error),
    };
    error.with("path", path.display())
}

/// When the storage is opened: what will not pass by itself is the fault of the settings.
pub(crate) fn of_folder(path: &Path, error: io::Error) -> Error {
    let (message, passes) = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => (
            "the checkpoint directory is, or lies below, a file; choose another path",
            false,
        ),
        ErrorKind::PermissionDenied => (
            "no permission to write to the checkpoint directory; allow it or choose another path",
            false,
        ),
        ErrorKind::ReadOnlyFilesystem => (
            "the checkpoint directory is on a read-only file system; choose another path",
            false,
        ),
        ErrorKind::NotFound | ErrorKind::InvalidFilename | ErrorKind::InvalidInput => (
            "the checkpoint directory cannot be created; choose another path",
            false,
        ),
        ErrorKind::Unsupported => (
            "the file system of the checkpoint directory has no hard links; choose a path on another one",
            false,
        ),
        _ => ("cannot write to the checkpoint directory", true),
    };
    let error_of = if passes {
        Error::unavailable
    } else {
        Error::invalid
    };
    error_of(message).with("path", path.display()).because(error)
}

/// When the storage is opened to be read.
pub(crate) fn of_reading(path: &Path, error: io::Error) -> Error {
    let (message, passes) = match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
            ("there is no such checkpoint directory", false)
        }
        ErrorKind::NotADirectory => ("the checkpoint directory is, or lies below, a file", false),
        ErrorKind::PermissionDenied => ("no permission to read the checkpoint directory; allow it", false),
        _ => ("cannot read the checkpoint directory", true),
    };
    let error_of = if passes {
        Error::unavailable
    } else {
        Error::invalid
    };
    error_of(message).with("path", path.display()).because(error)
}
