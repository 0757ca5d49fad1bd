//! Paths and `file://` URLs, and what is told of a path that does not work.

use snapline_core::{Error, Result};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The path itself, or that of a `file:///` URL.
///
/// # Errors
/// `Invalid` for any other URL.
pub(crate) fn local_path(given: &Path) -> Result<PathBuf> {
    let Some((scheme, rest)) = given.to_str().and_then(|text| text.split_once("://")) else {
        return Ok(given.to_owned());
    };
    let refused = |message: &str| Err(Error::invalid(message).with("given", given.display()));
    if scheme != "file" {
        return refused("only paths and file:/// URLs can be opened as local files");
    }
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return refused(
            "a file URL must have an absolute path after three slashes, as in file:///data/in.txt",
        );
    }
    match percent_decoded(path) {
        Some(path) => Ok(path.into()),
        None => refused("a file URL must have two hexadecimal digits after each '%', which make valid UTF-8"),
    }
}

pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let value = digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })?;
        decoded.push(u8::try_from(value).ok()?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

/// A checkpoint has the path as text.
///
/// # Errors
/// `Invalid` for one that is none.
pub(crate) fn storable(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::invalid("the name of an input file must be valid UTF-8; rename it")
            .with("path", path.display())
    })
}

/// An error of the operating system about a path. Some only a human can mend; others pass.
pub(crate) fn io_error(message: &str, path: &Path, error: io::Error) -> Error {
    let to_be_fixed = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    );
    let kind = if to_be_fixed {
        Error::invalid(message)
    } else {
        Error::unavailable(message)
    };
    kind.with("path", path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_url_is_a_path() {
        let cases = [
            ("in.txt", Ok("in.txt")),
            ("/data/100%.txt", Ok("/data/100%.txt")),
            ("file:///data/in.txt", Ok("/data/in.txt")),
            ("file://localhost/data/in.txt", Ok("/data/in.txt")),
            ("file:///a%20b/%C3%BC", Ok("/a b/ü")),
            ("file://data/in.txt", Err("a file URL must have an absolute path")),
            ("file:///%2", Err("a file URL must have two hexadecimal digits")),
            ("file:///%+1", Err("a file URL must have two hexadecimal digits")),
            ("file:///%ff", Err("a file URL must have two hexadecimal digits")),
            ("s3://bucket/in.txt", Err("only paths and file:/// URLs")),
        ];
        for (given, expected) in cases {
            match (local_path(Path::new(given)), expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path, Path::new(expected)),
                (Err(error), Err(start)) => {
                    assert!(error.message().starts_with(start), "{error}");
                    assert_eq!(error.context("given"), Some(given));
                }
                (outcome, _) => panic!("{given}: {outcome:?}"),
            }
        }
    }
}
