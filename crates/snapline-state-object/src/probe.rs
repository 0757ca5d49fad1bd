//! Whether a store can be trusted with the one decision on which all hangs.

use crate::place::Place;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use snapline_core::{Error, Result};
use snapline_objects::random;
use snapline_objects::{Phase, explain, is_refused, is_taken, passes};

const WRITERS: usize = 16;

/// A store that lets several writers win does not do so every time.
const RACES: usize = 2;

/// A race whose outcome the store did not tell is run again, so many times.
const REPEATS: usize = 3;

/// Checks that of racing conditional creates exactly one wins, whose bytes are then read.
///
/// # Errors
/// `Unsupported` when the store does otherwise; `Invalid` when the settings are wrong; `Unavailable` when the store
/// did not answer.
pub(crate) async fn check_conditional_create(place: &Place) -> Result<()> {
    let mut races = 0;
    for _ in 0..RACES + REPEATS {
        let path = fresh_path(place);
        let verdict = race(place, &path).await;
        clean_up(place, path).await;
        match verdict? {
            Verdict::OneWinner => races += 1,
            Verdict::Unknown => {}
            Verdict::Broken(what) => return Err(unfit(what)),
        }
        if races == RACES {
            return Ok(());
        }
    }
    Err(Error::unavailable(
        "the object store did not answer the conditional creates that test it; try again",
    ))
}

/// Checks that an object can be written and read.
///
/// # Errors
/// As [`check_conditional_create`].
pub(crate) async fn check_access(place: &Place) -> Result<()> {
    let path = fresh_path(place);
    let content = Bytes::from_static(b"snapline");
    let written = place
        .retries
        .run(|| place.store.put(&path, content.clone().into()));
    let outcome = match written.await {
        Ok(_) => stored(place, &path).await,
        Err(error) => Err(error),
    };
    clean_up(place, path).await;
    let read = outcome.map_err(cannot_open)?;
    if read != content {
        return Err(Error::unsupported(
            "the object store does not give back what was written",
        ));
    }
    Ok(())
}

/// Checks that the place can be listed; it may be empty.
///
/// # Errors
/// As [`check_conditional_create`].
pub(crate) async fn check_list(place: &Place) -> Result<()> {
    let prefix = (!place.prefix.as_ref().is_empty()).then_some(&place.prefix);
    let list = || async { place.store.list(prefix).next().await.transpose() };
    place.retries.run(list).await.map_err(cannot_open)?;
    Ok(())
}

enum Verdict {
    OneWinner,
    Unknown,
    Broken(String),
}

/// Lets writers with different bytes create the same object at the same time.
async fn race(place: &Place, path: &Path) -> Result<Verdict> {
    let create = |writer: usize| async move {
        let content = bytes_of(writer);
        let create = || {
            let mode = PutMode::Create.into();
            place.store.put_opts(path, content.clone().into(), mode)
        };
        place.retries.run(create).await
    };
    let outcomes = join_all((0..WRITERS).map(create)).await;
    let mut winners = Vec::new();
    let mut unknown = None;
    for (writer, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(_) => winners.push(writer),
            Err(error) if is_taken(&error) => {}
            Err(error) if is_refused(&error) => {
                return Ok(Verdict::Broken(format!("it refuses the condition: {error}")));
            }
            Err(error) => unknown = Some(error),
        }
    }
    if winners.len() > 1 {
        let winners = winners.len();
        return Ok(Verdict::Broken(format!(
            "{winners} of {WRITERS} racing writers won"
        )));
    }
    if let Some(error) = unknown {
        return if passes(&error) && !winners.is_empty() {
            Ok(Verdict::Unknown)
        } else {
            Err(cannot_open(error))
        };
    }
    let Some(winner) = winners.first() else {
        return Ok(Verdict::Unknown);
    };
    let stored = stored(place, path).await.map_err(cannot_open)?;
    if stored != bytes_of(*winner) {
        return Ok(Verdict::Broken(
            "a writer that lost has replaced the object".into(),
        ));
    }
    Ok(Verdict::OneWinner)
}

fn bytes_of(writer: usize) -> Bytes {
    format!("writer {writer} of {WRITERS}").into()
}

async fn stored(place: &Place, path: &Path) -> object_store::Result<Bytes> {
    let get = || async { place.store.get(path).await?.bytes().await };
    place.retries.run(get).await
}

/// A name that is no [`snapline_state::StorageKey`], so that it is never listed, and that nobody else uses.
fn fresh_path(place: &Place) -> Path {
    place.below(&format!(".snapline-probe-{:016x}", random()))
}

async fn clean_up(place: &Place, path: Path) {
    let paths = futures::stream::iter([Ok(path)]).boxed();
    place.store.delete_stream(paths).for_each(|_| async {}).await;
}

fn cannot_open(error: StoreError) -> Error {
    explain(Phase::Opening, "cannot open the object store", error)
}

fn unfit(what: String) -> Error {
    Error::unsupported(
        "the object store does not honour conditional creates, so two processes could both believe to have \
         completed a checkpoint; use another store, or if only one process ever writes to it, say so with \
         `single_writer()`",
    )
    .with("found", what)
}
