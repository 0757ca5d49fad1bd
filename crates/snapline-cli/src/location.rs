//! From what a user types to a storage.

use snapline_core::{Error, Result};
use snapline_state::{CheckpointStorage, StorageKey};
use snapline_state_file::FileCheckpointStorage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where directories are looked for that are storages already.
const LEVELS: usize = 8;

/// A storage and the name of a folder in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) path: StorageKey,
}

/// What a command does with a storage.
///
/// A storage that is only read is opened without the check that writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What a text may stand for.
enum Kind {
    Directory(PathBuf),
    Url(String),
}

fn kind(text: &str) -> Kind {
    match text.split_once("://") {
        None => Kind::Directory(text.into()),
        Some(("file", path)) => Kind::Directory(path.into()),
        Some(_) => Kind::Url(text.to_owned()),
    }
}

/// The storage at a directory that is there, or at a URL.
///
/// # Errors
/// `Invalid` when there is no such directory, `Unsupported` when URLs of this kind were not compiled in.
pub(crate) async fn storage(text: &str, access: Access) -> Result<Arc<dyn CheckpointStorage>> {
    match kind(text) {
        Kind::Directory(path) if path.is_dir() => directory(&path, access),
        Kind::Directory(path) => Err(missing(&path)),
        Kind::Url(url) => object(&url, access).await,
    }
}

/// A folder in a storage; it may be one that does not exist yet.
///
/// In directories the storage is the nearest one around the folder that has been used as a storage, and otherwise
/// the directory in which the folder is.
///
/// # Errors
/// `Invalid` when a name cannot be that of a savepoint; otherwise as [`storage`].
pub(crate) async fn place(text: &str, access: Access) -> Result<Place> {
    match kind(text) {
        Kind::Directory(path) => {
            let path = std::path::absolute(&path).map_err(|error| {
                Error::invalid("this is not a path")
                    .with("given", text)
                    .because(error)
            })?;
            let (root, name) = split(&path)?;
            Ok(Place {
                storage: directory(&root, access)?,
                path: name,
            })
        }
        Kind::Url(url) => {
            let Some((root, name)) = url.trim_end_matches('/').rsplit_once('/') else {
                return Err(Error::invalid("this URL names no folder").with("given", text));
            };
            Ok(Place {
                storage: object(root, access).await?,
                path: StorageKey::new(name)?,
            })
        }
    }
}

fn split(path: &Path) -> Result<(PathBuf, StorageKey)> {
    let mut candidates = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut root = path;
    while let (Some(parent), Some(name), true) = (root.parent(), root.file_name(), names.len() < LEVELS) {
        names.insert(0, name.to_string_lossy().into_owned());
        let Ok(key) = StorageKey::new(names.join("/")) else {
            break;
        };
        if parent.join(".tmp/lock").is_file() {
            return Ok((parent.to_owned(), key));
        }
        candidates.push((parent.to_owned(), key));
        root = parent;
    }
    let Some((parent, key)) = candidates.into_iter().next() else {
        return Err(Error::invalid(
            "the name of a savepoint must have only ASCII letters, digits, '-', '_' and '.', and not start with a dot; \
             rename its folder",
        )
        .with("path", path.display()));
    };
    match parent.is_dir() {
        true => Ok((parent, key)),
        false => Err(missing(&parent)),
    }
}

fn directory(path: &Path, access: Access) -> Result<Arc<dyn CheckpointStorage>> {
    Ok(Arc::new(match access {
        Access::Read => FileCheckpointStorage::open_read_only(path)?,
        Access::Write => FileCheckpointStorage::open(path)?,
    }))
}

fn missing(path: &Path) -> Error {
    Error::invalid("there is no such directory; give the one that the job has as its checkpoint storage")
        .with("path", path.display())
}

#[cfg(feature = "object")]
async fn object(url: &str, access: Access) -> Result<Arc<dyn CheckpointStorage>> {
    let builder = snapline_state_object::ObjectCheckpointStorage::builder(url);
    let builder = match access {
        Access::Read => builder.read_only(),
        Access::Write => builder,
    };
    Ok(Arc::new(builder.build().await?))
}

#[cfg(not(feature = "object"))]
async fn object(url: &str, _access: Access) -> Result<Arc<dyn CheckpointStorage>> {
    Err(Error::unsupported(
        "this build of snapline reads directories only; build it with the feature object, aws, azure or gcp",
    )
    .with("given", url))
}
