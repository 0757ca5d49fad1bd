//! How a storage is put together.

use crate::place::{Parts, Place};
use crate::probe::{check_access, check_conditional_create, check_list};
use crate::sequential::Sequential;
use crate::storage::{Creates, ObjectCheckpointStorage};
use crate::upload::MAX_PARTS;
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use snapline_core::{Error, Result};
use snapline_objects::Io;
use snapline_objects::Retries;
use snapline_objects::{StoreKind, Target, connect};
use snapline_state::StorageCapability;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Whoever opens a storage waits no longer for a store that does not answer.
const OPENING: Duration = Duration::from_secs(10);

/// What passes by itself in a directory, such as a folder that another removes at this moment, passes soon.
const LOCAL: Duration = Duration::from_secs(1);

/// Settings of an [`ObjectCheckpointStorage`] that is to be opened.
#[derive(Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct ObjectStorageBuilder {
    source: Source,
    options: Vec<(String, String)>,
    retries: Option<Retries>,
    part_size: usize,
    concurrency: usize,
    creates: Creates,
}

enum Source {
    Url(String),
    Given {
        store: Arc<dyn ObjectStore>,
        parts: Option<Arc<dyn MultipartStore>>,
        prefix: String,
    },
}

impl ObjectStorageBuilder {
    pub(crate) fn url(url: String) -> Self {
        Self::new(Source::Url(url))
    }

    pub(crate) fn given(store: Arc<dyn ObjectStore>, prefix: String) -> Self {
        Self::new(Source::Given {
            store,
            parts: None,
            prefix,
        })
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            options: Vec::new(),
            retries: None,
            part_size: 8 << 20,
            concurrency: 8,
            creates: Creates::Conditional,
        }
    }

    /// Sets an option of the store by its name in `object_store`, such as `region` or `aws_endpoint`; stronger than
    /// the environment variable of this name.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// How long failed requests are repeated: a minute unless told.
    ///
    /// A store that was given, and repeats requests itself, needs [`Retries::none`].
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The length of a part in bytes: 8 MiB unless told. An object has at most 10,000 parts.
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.part_size = bytes;
        self
    }

    /// How many parts, of all objects of this storage together, are in flight at a time: 8 unless told.
    ///
    /// A `put` holds one part in memory besides.
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.concurrency = parts;
        self
    }

    /// Says that no other process or handle writes below this prefix, ever: neither a standby nor what is left of a
    /// process that was replaced.
    ///
    /// Then the store needs no conditional create, and nothing protects against a second writer.
    pub fn single_writer(mut self) -> Self {
        self.creates = Creates::InTurn;
        self
    }

    /// Says that this handle writes nothing, so that keys that may only read are enough.
    ///
    /// Then opening writes nothing either: it looks whether the place can be listed. `create`, `put` and `delete` are
    /// `Unsupported`.
    pub fn read_only(mut self) -> Self {
        self.creates = Creates::Refused;
        self
    }

    /// Uploads through this view of the store that was given, so that the parts of one object run in parallel
    /// and can be repeated one by one. Without effect on a URL, whose store has it already.
    pub fn parts(mut self, store: Arc<dyn MultipartStore>) -> Self {
        if let Source::Given { parts, .. } = &mut self.source {
            *parts = Some(store);
        }
        self
    }

    /// Opens the storage, after a check that the store can be written and honours conditional creates.
    ///
    /// The check writes two small objects of its own, and removes them; one that is [`Self::read_only`] is listed instead.
    ///
    /// # Errors
    /// `Invalid` when a setting, the bucket or the credentials are wrong, with what to do; `Unsupported` when the store
    /// does not honour conditional creates; `Unavailable` when it does not answer within ten seconds.
    pub async fn build(self) -> Result<ObjectCheckpointStorage> {
        self.check()?;
        let (io, quick) = (Io::start()?, self.connect(OPENING)?);
        let creates = self.creates;
        let probe = io.spawn(async move {
            match creates {
                Creates::Conditional => check_conditional_create(&quick.0).await,
                Creates::InTurn => check_access(&quick.0).await,
                Creates::Refused => check_list(&quick.0).await,
            }
        });
        let panicked = |error| Error::internal("the check of the object store has panicked").because(error);
        let location = self.location();
        probe
            .await
            .map_err(panicked)?
            .map_err(|error| error.with("location", &location))?;
        let (place, capability) = self.connect(Duration::MAX)?;
        Ok(ObjectCheckpointStorage::new(
            place, io, creates, capability, location,
        ))
    }

    fn check(&self) -> Result<()> {
        if self.part_size == 0 || self.concurrency == 0 {
            return Err(Error::invalid(
                "part size and concurrency of an object store must be at least 1",
            ));
        }
        Ok(())
    }

    fn location(&self) -> String {
        match &self.source {
            Source::Url(url) => url.clone(),
            Source::Given { store, prefix, .. } => format!("{store}/{prefix}"),
        }
    }

    /// The store, with requests that are repeated for `longest` at most.
    fn connect(&self, longest: Duration) -> Result<(Place, StorageCapability)> {
        let retries = self.retries.unwrap_or_default().at_most(longest);
        let target = match &self.source {
            Source::Url(url) => connect(url, &self.options, retries)?,
            Source::Given { store, parts, prefix } => {
                if let Some((name, _)) = self.options.first() {
                    let message = "options are for a store that is opened by its URL";
                    return Err(Error::invalid(message).with("option", name));
                }
                given(store.clone(), parts.clone(), prefix)?
            }
        };
        let capability = self.capability(target.kind)?;
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let retries = match (target.kind, self.retries) {
            (StoreKind::Memory | StoreKind::Directory, None) => {
                Retries::within(LOCAL).delays(LOCAL / 100, LOCAL / 10)
            }
            _ => retries,
        };
        let parts = match target.parts {
            Some(store) => Parts {
                store,
                in_flight: self.concurrency,
                retries,
            },
            None => Parts {
                store: Arc::new(Sequential::new(target.store.clone())),
                in_flight: 1,
                retries: Retries::none(),
            },
        };
        let place = Place {
            store: target.store,
            parts,
            prefix: target.prefix,
            part_size: self.part_size,
            concurrency: self.concurrency,
            permits,
            retries,
        };
        Ok((place, capability))
    }

    fn capability(&self, kind: StoreKind) -> Result<StorageCapability> {
        let full = match self.creates {
            Creates::Conditional => StorageCapability::FULL,
            Creates::InTurn | Creates::Refused => StorageCapability::FULL.single_process(),
        };
        let longest = full.limited_to(self.part_size as u64 * MAX_PARTS as u64);
        match kind {
            StoreKind::Memory => Ok(longest.volatile()),
            StoreKind::Cloud { least_part } if self.part_size < least_part => Err(Error::invalid(
                "the store takes no parts as small as that; raise the part size",
            )
            .with("part size", self.part_size)
            .with("least", least_part)),
            StoreKind::Directory | StoreKind::Given | StoreKind::Cloud { .. } => Ok(longest),
        }
    }
}

fn given(
    store: Arc<dyn ObjectStore>,
    parts: Option<Arc<dyn MultipartStore>>,
    prefix: &str,
) -> Result<Target> {
    let prefix = Path::parse(prefix).map_err(|error| {
        Error::invalid("the prefix in the object store is not valid")
            .with("prefix", prefix)
            .because(error)
    })?;
    Ok(Target {
        store,
        parts,
        prefix,
        kind: StoreKind::Given,
    })
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Given { store, prefix, .. } => write!(f, "{store}/{prefix}"),
        }
    }
}
