//! One object on its way to the store.

use super::place::{Place, is_over, unless_over};
use super::{Marker, ObjectSinkPart, UPLOADS};
use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::PutPayload;
use object_store::multipart::PartId;
use object_store::path::Path;
use snapline_core::{Error, Result};
use snapline_objects::{Phase, explain};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The beginning of an upload, for which its parts wait.
type Begun = Shared<BoxFuture<'static, std::result::Result<Arc<str>, Arc<Error>>>>;

/// The parts of one object.
///
/// The upload begins with its first full part. Then its id is noted beside the objects, before anything is uploaded: so
/// whoever recovers can abort it.
pub(super) struct Upload {
    place: Place,
    name: String,
    pub(super) buffer: Vec<u8>,
    begun: Option<Begun>,
    in_flight: FuturesOrdered<BoxFuture<'static, Result<PartId>>>,
    parts: Vec<String>,
    sent: u64,
    next_part: usize,
}

impl Upload {
    pub(super) fn new(place: Place, name: String) -> Self {
        Self {
            place,
            name,
            buffer: Vec::new(),
            begun: None,
            in_flight: FuturesOrdered::new(),
            parts: Vec::new(),
            sent: 0,
            next_part: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    /// Sends what is in the buffer as the next part.
    pub(super) fn send_part(&mut self) {
        let payload = Bytes::from(std::mem::take(&mut self.buffer));
        self.sent += payload.len() as u64;
        let begun = match &self.begun {
            Some(begun) => begun.clone(),
            None => self.begun.insert(self.begin()).clone(),
        };
        let (place, path, index) = (self.place.clone(), self.path(), self.next_part);
        self.next_part += 1;
        let send = async move {
            let id = begun.await.map_err(|error| not_begun(&error))?;
            send(&place, path, &id, index, payload.into()).await
        };
        self.in_flight.push_back(send.boxed());
    }

    fn path(&self) -> Path {
        self.place.visible(&self.name)
    }

    fn begin(&self) -> Begun {
        let (place, name) = (self.place.clone(), self.name.clone());
        let begin = async move { begin(&place, &name).await.map(Arc::from).map_err(Arc::new) };
        begin.boxed().shared()
    }

    /// How many parts are under way, of which the task is woken when the oldest is there.
    pub(super) fn poll_under_way(&mut self, cx: &mut Context<'_>) -> Result<usize> {
        while let Poll::Ready(Some(part)) = self.in_flight.poll_next_unpin(cx) {
            self.parts.push(part?.content_id);
        }
        Ok(self.in_flight.len())
    }

    /// Sends the rest and waits for all parts.
    pub(super) async fn finish(mut self) -> Result<ObjectSinkPart> {
        if !self.buffer.is_empty() {
            self.send_part();
        }
        while let Some(part) = self.in_flight.try_next().await? {
            self.parts.push(part.content_id);
        }
        let begun = self
            .begun
            .ok_or_else(|| Error::internal("an object without parts"))?;
        let upload = begun.await.map_err(|error| not_begun(&error))?;
        Ok(ObjectSinkPart {
            name: self.name,
            upload: upload.to_string(),
            parts: self.parts,
            len: self.sent,
        })
    }
}

/// Begins an upload and notes its id.
async fn begin(place: &Place, name: &str) -> Result<String> {
    let (store, retries, path) = (place.parts.clone(), place.retries, place.visible(name));
    let create = place.io.call(async move {
        let create = || async { store.create_multipart(&path).await };
        retries.run(create).await
    });
    let failed =
        |error| explain(Phase::InUse, "an upload cannot begin", error).with("object", place.visible(name));
    let upload = create.await.map_err(failed)?;
    let marker = Marker {
        upload: upload.clone(),
    };
    place
        .put_note(&place.own(UPLOADS, name), &marker)?
        .await
        .map_err(failed)?;
    Ok(upload)
}

async fn send(place: &Place, path: Path, id: &str, index: usize, payload: PutPayload) -> Result<PartId> {
    let (store, retries, at, id) = (place.parts.clone(), place.retries, path.clone(), id.to_owned());
    let sent = place.io.call(async move {
        let put = || async { unless_over(store.put_part(&at, &id, index, payload.clone()).await) };
        retries.run(put).await
    });
    let sent = sent.await.and_then(|sent| sent);
    sent.map_err(|error| match is_over(&error) {
        true => Error::conflict(
            "an upload was aborted while it was written; a newer attempt of the job has done so",
        )
        .with("object", path)
        .because(error),
        false => explain(Phase::InUse, "a part of an object cannot be uploaded", error).with("object", path),
    })
}

/// The failure that each part of an upload has to tell.
fn not_begun(error: &Arc<Error>) -> Error {
    Error::new(error.kind(), "an upload has not begun").because(error.clone())
}
