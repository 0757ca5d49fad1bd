//! The repository as the rules see it: texts and packages, no file system.

use crate::workspace::Package;
use std::path::Path;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 2] = [".git", "target"];

/// All files of the repository that are text, and all packages.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The entries of the root folder.
    pub(super) top_level: Vec<String>,
    pub(super) files: Vec<File>,
    pub(super) packages: Vec<Package>,
}

/// A file with its path from the root, with `/` on every platform.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl Tree {
    pub(super) fn read(root: &Path, packages: Vec<Package>) -> Result<Self, String> {
        let mut tree = Self {
            packages,
            ..Self::default()
        };
        tree.walk(root, "")
            .map_err(|error| format!("cannot read {}: {error}", root.display()))?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() {
                self.top_level.push(name.clone());
            }
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"))?;
            } else if let Ok(text) = String::from_utf8(std::fs::read(entry.path())?) {
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files that are Rust source.
    pub(super) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The names of the folders in `crates/`.
    pub(super) fn crates(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .files
            .iter()
            .filter_map(|file| Some(file.path.strip_prefix("crates/")?.split_once('/')?.0))
            .collect();
        names.dedup();
        names
    }
}

impl File {
    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Lines with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}
