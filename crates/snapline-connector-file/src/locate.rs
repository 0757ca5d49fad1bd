//! Which files a path stands for.

use crate::fingerprint::Fingerprint;
use crate::local_path::{io_error, local_path};
use glob::{MatchOptions, glob_with};
use snapline_core::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files that a path, a `file:///` URL, or a pattern stands for.
#[derive(Debug)]
pub(crate) struct Found {
    /// The files, sorted.
    pub(crate) files: Vec<PathBuf>,
    path: PathBuf,
    /// What to say when there are none.
    none: &'static str,
}

impl Found {
    /// Looks for files.
    ///
    /// # Errors
    /// `Invalid` when the path stands for nothing, naming it and what to do.
    pub(crate) fn at(given: &Path) -> Result<Self> {
        let path = local_path(given)?;
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => files_of_directory(path),
            Ok(found) if found.is_file() => Ok(Self::new(vec![path.clone()], path, "")),
            Ok(_) => Err(
                Error::invalid("this is neither a file nor a directory; only those can be read")
                    .with("path", path.display()),
            ),
            Err(_) if is_pattern(&path) => files_that_match(path),
            Err(error) => Err(io_error(
                "the input cannot be found; check the path and its permissions",
                &path,
                error,
            )),
        }
    }

    /// The same, when there is at least one.
    ///
    /// # Errors
    /// `Invalid` when there are none, naming the path and what to do.
    pub(crate) fn some(self) -> Result<Self> {
        if self.files.is_empty() {
            return Err(Error::invalid(self.none).with("path", self.path.display()));
        }
        Ok(self)
    }

    fn new(mut files: Vec<PathBuf>, path: PathBuf, none: &'static str) -> Self {
        files.sort();
        Self { files, path, none }
    }
}

/// Sees whether files of a checkpoint are what they were, and of the input that is given now.
///
/// # Errors
/// `Invalid` when they are not, naming the difference.
pub(crate) fn verify<'a>(
    given: &Path,
    restored: impl Iterator<Item = (&'a str, &'a Fingerprint)>,
) -> Result<()> {
    let files: HashMap<&str, &Fingerprint> = restored.collect();
    for (path, file) in &files {
        let path = Path::new(path);
        file.compare(path, &Fingerprint::of(path)?)?;
    }
    let found = Found::at(given)?.files;
    let found: HashSet<PathBuf> = found.iter().map(|path| real(path)).collect();
    match files.keys().find(|path| !found.contains(&real(Path::new(path)))) {
        None => Ok(()),
        Some(other) => Err(Error::invalid(
            "the checkpoint was taken while another input was read; give that one again, or start over",
        )
        .with("path", given.display())
        .with("input of the checkpoint", other)),
    }
}

/// The same for every name of a file.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn files_of_directory(directory: PathBuf) -> Result<Found> {
    let unreadable = |error| {
        let message = "the input directory cannot be listed; check its permissions";
        io_error(message, &directory, error)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if path.is_file() && !is_hidden(&path) {
            files.push(path);
        }
    }
    let none = "the input directory has no files; files in its directories and those whose names start with a \
                dot do not count: use a pattern for them";
    Ok(Found::new(files, directory, none))
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

fn files_that_match(path: PathBuf) -> Result<Found> {
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    let text = path.to_string_lossy();
    let matches = glob_with(&text, options).map_err(|error| {
        Error::invalid("the input does not exist and is not a valid pattern either; check the path")
            .with("path", &text)
            .because(error)
    })?;
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| {
            let at = error.path().to_owned();
            let message = "a directory of the input pattern cannot be listed; check its permissions";
            io_error(message, &at, error.into())
        })?;
        if found.is_file() && (is_hidden(&path) || !is_hidden(&found)) {
            files.push(found);
        }
    }
    Ok(Found::new(
        files,
        path,
        "no file matches the input pattern; check the path",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    fn locate(given: &Path) -> Result<Vec<PathBuf>> {
        Ok(Found::at(given)?.some()?.files)
    }

    #[test]
    fn a_path_stands_for_files_in_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for directory in ["in/deep/er", "empty"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for file in [
            "in/b.txt",
            "in/a.txt",
            "in/c.csv",
            "in/.hidden.txt",
            "in/deep/d.txt",
            "in/[x]",
        ] {
            fs::write(at(file), "").unwrap();
        }
        let cases: [(&str, Result<&[&str], &str>); 12] = [
            ("in/b.txt", Ok(&["in/b.txt"])),
            ("in", Ok(&["in/[x]", "in/a.txt", "in/b.txt", "in/c.csv"])),
            ("in/*.txt", Ok(&["in/a.txt", "in/b.txt"])),
            ("in/[ac].*", Ok(&["in/a.txt", "in/c.csv"])),
            ("in/[x]", Ok(&["in/[x]"])),
            ("in/**/*.txt", Ok(&["in/a.txt", "in/b.txt", "in/deep/d.txt"])),
            ("in/.*.txt", Ok(&["in/.hidden.txt"])),
            ("none.txt", Err("the input cannot be found")),
            ("in/a.txt/b", Err("the input cannot be found")),
            ("empty", Err("the input directory has no files")),
            ("in/*.json", Err("no file matches the input pattern")),
            ("in/***", Err("the input does not exist and is not")),
        ];
        for (path, expected) in cases {
            match (locate(&at(path)), expected) {
                (Ok(files), Ok(names)) => {
                    assert_eq!(
                        files,
                        names.iter().map(|name| at(name)).collect::<Vec<_>>(),
                        "{path}"
                    );
                }
                (Err(error), Err(start)) => {
                    assert!(error.message().starts_with(start), "{error}");
                    assert_eq!(error.kind(), ErrorKind::Invalid);
                    assert_eq!(error.context("path"), at(path).to_str());
                }
                (outcome, _) => panic!("{path}: {outcome:?}"),
            }
        }
        let url = format!("file://{}", at("in/a.txt").display());
        assert_eq!(locate(Path::new(&url)).unwrap(), [at("in/a.txt")]);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_a_file() {
        let error = locate(Path::new("/dev/null")).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("this is neither a file nor a directory"),
            "{error}"
        );
    }
}
