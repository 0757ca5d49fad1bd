//! From a URL and options to a store.

use crate::failure::{Phase, explain};
use crate::retries::Retries;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use snapline_core::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// A store that is ready for requests.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the view for parts has none")]
#[allow(
    clippy::exhaustive_structs,
    reason = "programs that bring their own store make one"
)]
pub struct Target {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// When the parts of an upload can be sent, and repeated, one by one.
    pub parts: Option<Arc<dyn MultipartStore>>,
    /// Below which all is.
    pub prefix: Path,
    /// What it promises.
    pub kind: StoreKind,
}

/// What a store promises beyond its trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "who stores checkpoints must know each")]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// A directory of this machine.
    Directory,
    /// Built by the program.
    Given,
    /// Behind HTTP, with the least length of a part but the last.
    Cloud {
        /// In bytes.
        least_part: usize,
    },
}

/// Options by name, the later the stronger.
pub type Options = [(String, String)];

/// Makes the store; sends no request.
///
/// # Errors
/// `Invalid` when the URL or an option is not valid, or the feature of the store is not built in, with what to do.
pub fn connect(text: &str, options: &Options, retries: Retries) -> Result<Target> {
    let bad = |message: &str| Error::invalid(message).with("url", text);
    let url = Url::parse(text).map_err(|error| {
        bad("the object store has no valid URL, such as s3://bucket/prefix").because(error)
    })?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad(
            "the URL of an object store ends with its prefix; give settings as options or environment variables",
        ));
    }
    if url.password().is_some() {
        return Err(Error::invalid(
            "the URL of an object store must not have a password in it; give keys as options or environment variables",
        ));
    }
    let prefix = || {
        let prefix = Path::from_url_path(url.path());
        prefix.map_err(|error| bad("the URL of the object store has no valid prefix").because(error))
    };
    let in_bucket = || match url.host_str() {
        Some(host) if !host.is_empty() => prefix(),
        _ => Err(bad(
            "the URL of the object store names no bucket, as in s3://bucket/prefix",
        )),
    };
    match url.scheme() {
        "memory" => memory(prefix()?, options),
        "file" => {
            let path = url
                .to_file_path()
                .map_err(|()| bad("the URL of a directory has three slashes: file:///directory"))?;
            directory(path, options)
        }
        "s3" | "s3a" => in_bucket().and_then(|prefix| s3(&url, prefix, options, retries)),
        "gs" => in_bucket().and_then(|prefix| gcs(&url, prefix, options, retries)),
        "az" | "azure" | "abfs" | "abfss" => {
            in_bucket().and_then(|prefix| azure(&url, prefix, options, retries))
        }
        _ => Err(bad(
            "no object store has such URLs; there are s3:// (feature `aws`), gs:// (feature `gcp`), az:// (feature `azure`), file:// and memory://",
        )),
    }
}

fn memory(prefix: Path, options: &Options) -> Result<Target> {
    no_options(options)?;
    let store = Arc::new(InMemory::new());
    Ok(Target {
        store: store.clone(),
        parts: Some(store),
        prefix,
        kind: StoreKind::Memory,
    })
}

fn directory(path: PathBuf, options: &Options) -> Result<Target> {
    no_options(options)?;
    let cannot = |error: std::io::Error| {
        let error = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: error.into(),
        };
        explain(Phase::Opening, "cannot create the directory", error).with("path", path.display())
    };
    create(&path).map_err(cannot)?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| explain(Phase::Opening, "cannot use the directory", error))?
        .with_fsync(true)
        .with_automatic_cleanup(true);
    Ok(Target {
        store: Arc::new(store),
        parts: None,
        prefix: Path::default(),
        kind: StoreKind::Directory,
    })
}

/// Creates a directory that is still there after a crash.
fn create(path: &std::path::Path) -> std::io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(path)?;
    for folder in missing {
        if let (true, Some(parent)) = (cfg!(unix), folder.parent()) {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

fn no_options(options: &Options) -> Result<()> {
    match options.first() {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid("a directory or memory has no options").with("option", name)),
    }
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod cloud;
#[cfg(feature = "azure")]
use cloud::azure;
#[cfg(feature = "gcp")]
use cloud::gcs;
#[cfg(feature = "aws")]
use cloud::s3;

#[cfg(not(feature = "aws"))]
fn s3(url: &Url, _: Path, _: &Options, _: Retries) -> Result<Target> {
    not_built(url, "aws")
}

#[cfg(not(feature = "gcp"))]
fn gcs(url: &Url, _: Path, _: &Options, _: Retries) -> Result<Target> {
    not_built(url, "gcp")
}

#[cfg(not(feature = "azure"))]
fn azure(url: &Url, _: Path, _: &Options, _: Retries) -> Result<Target> {
    not_built(url, "azure")
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn not_built(url: &Url, feature: &str) -> Result<Target> {
    Err(Error::invalid(format!(
        "this program was built without that object store; enable the feature `{feature}`"
    ))
    .with("url", url))
}
