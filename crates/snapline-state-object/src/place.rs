//! Where objects are: a store, a prefix in it, and how to talk to it.

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, Result};
use snapline_objects::Retries;
use snapline_state::StorageKey;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A part of a store, with all that a request needs to know.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) parts: Parts,
    pub(crate) prefix: Path,
    pub(crate) part_size: usize,
    pub(crate) concurrency: usize,
    /// As many parts are in flight as there are permits.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) retries: Retries,
}

/// How to upload in parts.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn MultipartStore>,
    /// So many parts of one object at a time.
    pub(crate) in_flight: usize,
    /// For a part, and for the end of the upload.
    pub(crate) retries: Retries,
}

impl Place {
    /// The path of an object.
    pub(crate) fn path(&self, key: &StorageKey) -> Path {
        self.below(key.as_str())
    }

    /// A path below the prefix.
    pub(crate) fn below(&self, name: &str) -> Path {
        let segments = name.split('/').filter(|segment| !segment.is_empty());
        segments.fold(self.prefix.clone(), |path, segment| path.join(segment))
    }

    /// The key of a path; `None` for what this storage did not write.
    fn key(&self, path: &Path) -> Option<StorageKey> {
        let rest = path.as_ref().strip_prefix(self.prefix.as_ref())?;
        let rest = match self.prefix.as_ref() {
            "" => rest,
            _ => rest.strip_prefix('/')?,
        };
        StorageKey::new(rest).ok()
    }

    /// The keys that start with a text, ordered.
    ///
    /// A store lists folders: what it tells of the folder in which the text ends is sifted here.
    pub(crate) async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        use futures::TryStreamExt;
        let Some(folder) = folder(prefix) else {
            return Ok(Vec::new());
        };
        let folder = self.below(folder);
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let list = || async {
            let objects = match after {
                Some(after) => self.store.list_with_offset(folder.as_ref(), &self.path(after)),
                None => self.store.list(folder.as_ref()),
            };
            let wanted =
                |key: &StorageKey| key.as_str().starts_with(prefix) && after.is_none_or(|after| key > after);
            let keys = objects.try_filter_map(|object| {
                let key = self.key(&object.location).filter(wanted);
                std::future::ready(Ok(key))
            });
            keys.try_collect::<Vec<_>>().await
        };
        let mut keys = self.retries.run(list).await?;
        keys.sort_unstable();
        Ok(keys)
    }
}

/// The folder in which a text ends that keys are to start with; `None` when no key can.
fn folder(prefix: &str) -> Option<&str> {
    let (folder, rest) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let has_slash = prefix.contains('/');
    let is_folder = StorageKey::new(folder).is_ok() || (folder.is_empty() && !has_slash);
    let begins_segment = rest.is_empty() || StorageKey::new(rest).is_ok();
    (is_folder && begins_segment).then_some(folder)
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("part_size", &self.part_size)
            .field("concurrency", &self.concurrency)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::folder;

    #[test]
    fn a_text_is_listed_in_the_folder_where_it_ends() {
        let cases = [
            ("", Some("")),
            ("job", Some("")),
            ("job/", Some("job")),
            ("job/epoch/00", Some("job/epoch")),
            ("/", None),
            ("/job", None),
            ("job//", None),
            ("job/../", None),
            ("job/.", None),
            ("job epoch", None),
        ];
        for (prefix, expected) in cases {
            assert_eq!(folder(prefix), expected, "{prefix:?}");
        }
    }
}
