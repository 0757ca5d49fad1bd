//! One error for every crate: the kind tells the caller what to do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The result of every fallible operation in Snapline.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The outside world did not answer; the same call may succeed later.
    Unavailable,
    /// Another writer won; step down.
    Conflict,
    /// Stored bytes are not what was written; restore an older checkpoint.
    Corrupted,
    /// The program or its settings are wrong; fix them.
    Invalid,
    /// This component cannot do it; ask its `capability()`.
    Unsupported,
    /// Somebody asked to stop.
    Cancelled,
    /// A defect in Snapline.
    Internal,
}

/// What went wrong, with what, and why.
///
/// The message is lower-case and has no final dot; the values it speaks of stand in the context,
/// outermost first.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// An error of kind [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// An error of kind [`ErrorKind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// An error of kind [`ErrorKind::Corrupted`].
    pub fn corrupted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupted, message)
    }

    /// An error of kind [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// An error of kind [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An error of kind [`ErrorKind::Cancelled`].
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// An error of kind [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The error of kind [`ErrorKind::Internal`] that a caught panic of user code becomes.
    pub fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::internal("a task panicked").with("message", text.unwrap_or("(not a text)"))
    }

    /// Adds a named value that the message speaks of.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message, without context and cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The value added under this name, if any.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0
            .context
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl From<std::io::Error> for Error {
    /// Input and output failures are [`ErrorKind::Unavailable`]: disks fill up and come back.
    fn from(error: std::io::Error) -> Self {
        Self::unavailable("input or output failed").because(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            let lead = if index == 0 { " (" } else { ", " };
            write!(f, "{lead}{name}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_sentence_with_its_values_and_its_cause() {
        let error = Error::corrupted("checksum does not match")
            .with("file", "a7-e12/manifest.json")
            .with("expected", 17)
            .because(std::io::Error::other("short read"));
        let text = "checksum does not match (file: a7-e12/manifest.json, expected: 17): short read";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        assert_eq!(error.context("expected"), Some("17"));
    }
}
