//! What a failure of the store means to the caller.

use object_store::Error as StoreError;
use snapline_core::{Error, ErrorKind};
use std::io;

/// When a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between the two")]
pub enum Phase {
    /// Opening: what will not pass by itself is the fault of the settings.
    Opening,
    /// In use: the settings were right once, so what broke may be mended while the job waits.
    InUse,
}

/// Whether the same request may soon succeed.
#[must_use]
pub fn passes(error: &StoreError) -> bool {
    let StoreError::Generic { .. } = error else {
        return false;
    };
    match (status(error), io_kind(error)) {
        (Some(501), _) => false,
        (Some(status), _) => status >= 500 || [408, 409, 425, 429].contains(&status),
        (None, Some(kind)) => !lasts(kind),
        (None, None) => !beyond_end(error) && !forbids_http(error),
    }
}

/// Whether a range that begins at or after the end of the object was asked for.
#[must_use]
pub fn beyond_end(error: &StoreError) -> bool {
    status(error) == Some(416)
        || causes(error).any(|cause| cause.to_string().contains("Wanted range starting at"))
}

/// Whether there is no such object; in a directory, also when a part of the path is a file or the whole a folder.
#[must_use]
pub fn is_missing(error: &StoreError) -> bool {
    match error {
        StoreError::NotFound { .. } => !has_no_bucket(error),
        StoreError::Generic { .. } => io_kind(error).is_some_and(is_folder),
        _ => false,
    }
}

/// Whether the name is taken, or was for a moment.
#[must_use]
pub fn is_taken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }
    )
}

/// Whether the store has no conditional create at all.
#[must_use]
pub fn is_refused(error: &StoreError) -> bool {
    let unknown = matches!(
        error,
        StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }
    );
    unknown || status(error) == Some(501)
}

/// The failure of a call, with what to do about it.
#[must_use]
pub fn explain(phase: Phase, message: &str, error: StoreError) -> Error {
    let (kind, advice) = advice(&error);
    let kind = match (phase, kind) {
        (Phase::InUse, Kind::Settings) => ErrorKind::Unavailable,
        (_, Kind::Settings | Kind::Name) => ErrorKind::Invalid,
        (_, Kind::Passing) => ErrorKind::Unavailable,
        (_, Kind::Unsupported) => ErrorKind::Unsupported,
        (_, Kind::Defect) => ErrorKind::Internal,
    };
    let message = match advice {
        "" => message.to_owned(),
        advice => format!("{message}: {advice}"),
    };
    Error::new(kind, message).because(error)
}

enum Kind {
    Passing,
    Settings,
    Name,
    Unsupported,
    Defect,
}

fn advice(error: &StoreError) -> (Kind, &'static str) {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["RequestTimeTooSkewed"]) {
        return (
            Kind::Settings,
            "the clock of this machine differs too much from the store's; set the clock",
        );
    }
    if has_no_bucket(error) {
        return (
            Kind::Settings,
            "there is no such bucket; create it, or correct the URL, the region or the endpoint",
        );
    }
    if forbids_http(error) {
        return (
            Kind::Settings,
            "the endpoint is not encrypted; allow that with AWS_ALLOW_HTTP=true or the option `allow_http`",
        );
    }
    if says(&["incorrectly configured region", "PermanentRedirect"]) {
        return (
            Kind::Settings,
            "the bucket is in another region; set AWS_REGION or the option `region`",
        );
    }
    if says(&["/latest/api/token", "/latest/meta-data/"]) {
        return (
            Kind::Settings,
            "no keys are set, and this machine has none of its own; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        );
    }
    let refused = matches!(
        error,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }
    );
    // A list that is refused comes without a type of its own.
    if refused || matches!(status(error), Some(401 | 403)) || says(&["ExpiredToken", "InvalidToken"]) {
        return (
            Kind::Settings,
            "the store refuses the credentials; check the keys and what they are allowed",
        );
    }
    match (error, status(error), io_kind(error)) {
        (_, _, Some(kind)) if is_folder(kind) => (
            Kind::Name,
            "in a directory a key cannot be an object and a folder at once; give one of them another name",
        ),
        (_, _, Some(io::ErrorKind::InvalidFilename)) => (Kind::Name, "the key is too long for the directory"),
        (_, _, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) => {
            (Kind::Settings, "no permission to write to the directory")
        }
        (StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }, ..) | (_, Some(501), _) => {
            (Kind::Unsupported, "the store does not know this request")
        }
        (StoreError::UnknownConfigurationKey { .. }, ..) => (Kind::Settings, "the store has no such option"),
        (StoreError::InvalidPath { .. } | StoreError::JoinError { .. }, ..) => (Kind::Defect, ""),
        (_, Some(400..=499), _) if !passes(error) => (Kind::Settings, "the store rejects the request"),
        _ => (Kind::Passing, ""),
    }
}

fn has_no_bucket(error: &StoreError) -> bool {
    let text = error.to_string();
    let codes = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];
    codes.iter().any(|code| text.contains(code))
}

fn forbids_http(error: &StoreError) -> bool {
    causes(error).any(|cause| cause.to_string().contains("URL scheme is not allowed"))
}

/// The status of the answer. The type that has it is private to the crate `object_store`.
fn status(error: &StoreError) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What the file system said, if it was one.
fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    causes(error).find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()))
}

/// The error and what it was caused by, outermost first.
fn causes(error: &StoreError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

fn is_folder(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, IsADirectory, NotADirectory};
    [NotADirectory, IsADirectory, DirectoryNotEmpty].contains(&kind)
}

/// What a file system says again a second later.
fn lasts(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidFilename, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    is_folder(kind) || [InvalidFilename, PermissionDenied, ReadOnlyFilesystem, StorageFull].contains(&kind)
}
