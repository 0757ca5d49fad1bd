//! Reading an object in parts that run in parallel.

use crate::place::Place;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, Result,
};
use snapline_objects::{beyond_end, is_missing};
use std::ops::Range;

/// The bytes of an object in a range, which is cut at its end; `None` when there is no such object.
///
/// The first request reads one part and tells the length of the whole; the others, which name the version that
/// the first has seen, follow in parallel. In memory are the bytes asked for and the parts in flight.
///
/// Each request is repeated for itself, the whole only when somebody replaces the object meanwhile.
pub(crate) async fn read(place: &Place, path: &Path, range: Range<u64>) -> Result<Option<Bytes>> {
    let attempt = || async {
        match read_once(place, path, range.clone()).await {
            Err(error) if is_missing(&error) => Ok(None),
            Err(StoreError::Precondition { source, .. }) => Err(StoreError::Generic {
                store: "snapline",
                source,
            }),
            outcome => outcome.map(Some),
        }
    };
    place.retries.run(attempt).await
}

async fn read_once(place: &Place, path: &Path, range: Range<u64>) -> Result<Bytes> {
    let part = place.part_size as u64;
    let first = range.start..range.end.min(range.start.saturating_add(part));
    if first.is_empty() {
        return nothing(place, path).await;
    }
    let options = GetOptions::new().with_range(Some(bounded(first.clone())));
    let (head, meta) = match fetch(place, path, options).await {
        Err(error) if beyond_end(&error) => return nothing(place, path).await,
        outcome => outcome?,
    };
    let end = range.end.min(meta.size);
    if end <= first.end {
        return Ok(head);
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(end - range.start).unwrap_or_default());
    whole.extend_from_slice(&head);
    drop(head);
    let starts = (0..).map(|number| first.end + number * part);
    let ranges = starts
        .take_while(|start| *start < end)
        .map(|start| start..end.min(start + part));
    let fetch_range = |range: Range<u64>| {
        let options = GetOptions::new()
            .with_range(Some(bounded(range)))
            .with_if_match(meta.e_tag.clone());
        async move { fetch(place, path, options).await.map(|(bytes, _)| bytes) }
    };
    let mut rest = futures::stream::iter(ranges)
        .map(fetch_range)
        .buffered(place.concurrency);
    while let Some(bytes) = rest.try_next().await? {
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

async fn fetch(place: &Place, path: &Path, options: GetOptions) -> Result<(Bytes, ObjectMeta)> {
    let _permit = place.permits.acquire().await;
    let get = || async {
        let found = place.store.get_opts(path, options.clone()).await?;
        let meta = found.meta.clone();
        Ok((found.bytes().await?, meta))
    };
    place.retries.run(get).await
}

/// No bytes of an object that has to exist.
async fn nothing(place: &Place, path: &Path) -> Result<Bytes> {
    place.retries.run(|| place.store.head(path)).await?;
    Ok(Bytes::new())
}

/// Not all servers understand ends that no object can have.
fn bounded(range: Range<u64>) -> GetRange {
    match i64::try_from(range.end) {
        Ok(_) => GetRange::Bounded(range),
        Err(_) => GetRange::Offset(range.start),
    }
}
