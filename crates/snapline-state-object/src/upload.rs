//! Storing content whose length is not known, in parts that run in parallel.

use crate::place::Place;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload, PutPayloadMut, Result as StoreResult};
use snapline_core::{Error, Result};
use snapline_objects::{Call, Io};
use snapline_objects::{Phase, explain};
use snapline_state::Stored;
use std::collections::VecDeque;
use std::sync::Arc;

/// No store takes more parts for one object: S3 and Google Cloud Storage stop here.
pub(crate) const MAX_PARTS: usize = 10_000;

/// Shorter pieces are copied together, so that a part has not too many of them.
const SMALL: usize = 16 << 10;

/// An object that is being written. It becomes visible in [`Upload::finish`]; dropped before, it is given up.
///
/// In memory are the part that is being filled and those in flight.
pub(crate) struct Upload {
    place: Arc<Place>,
    io: Io,
    path: Path,
    part: PutPayloadMut,
    stored: Stored,
    session: Option<Session>,
}

impl Upload {
    pub(crate) fn new(place: Arc<Place>, io: Io, path: Path) -> Self {
        Self {
            place,
            io,
            path,
            part: PutPayloadMut::new().with_block_size(SMALL),
            stored: Stored { len: 0, checksum: 0 },
            session: None,
        }
    }

    /// Takes a piece of the content. Waits while enough parts are in flight.
    pub(crate) async fn write(&mut self, mut piece: Bytes) -> Result<()> {
        self.stored.len += piece.len() as u64;
        self.stored.checksum = crc32c::crc32c_append(self.stored.checksum, &piece);
        while !piece.is_empty() {
            if self.part.content_length() == self.place.part_size {
                self.send_part().await?;
            }
            let room = self.place.part_size - self.part.content_length();
            let fitting = piece.split_to(room.min(piece.len()));
            if fitting.len() < SMALL {
                self.part.extend_from_slice(&fitting);
            } else {
                self.part.push(fitting);
            }
        }
        Ok(())
    }

    /// What the part consists of; the next one begins.
    fn take_part(&mut self) -> PutPayload {
        let next = PutPayloadMut::new().with_block_size(SMALL);
        std::mem::replace(&mut self.part, next).freeze()
    }

    /// Makes the object visible.
    pub(crate) async fn finish(mut self) -> Result<Stored> {
        if self.session.is_none() {
            self.put_whole().await?;
        } else {
            self.send_part().await?;
            if let Some(session) = &mut self.session {
                let complete = session.complete(self.place.clone(), &self.io, self.path.clone());
                complete.await.map_err(|error| self.failed(error))?;
            }
            self.session = None;
        }
        Ok(self.stored)
    }

    async fn put_whole(&mut self) -> Result<()> {
        let (place, path) = (self.place.clone(), self.path.clone());
        let payload = self.take_part();
        let put = async move {
            let put = || place.store.put(&path, payload.clone());
            place.retries.run(put).await.map(drop)
        };
        self.io.call(put).await.map_err(|error| self.failed(error))
    }

    async fn send_part(&mut self) -> Result<()> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let begun = Session::begin(self.place.clone(), &self.io, self.path.clone()).await;
                begun.map_err(|error| self.failed(error))?
            }
        };
        if session.len() == MAX_PARTS {
            self.session = Some(session);
            return Err(
                Error::invalid("the object has too many parts; raise the part size")
                    .with("key", &self.path)
                    .with("parts", MAX_PARTS)
                    .with("part size", self.place.part_size),
            );
        }
        let part = self.take_part();
        let sent = session.send(self.place.clone(), &self.io, self.path.clone(), part);
        let sent = sent.await;
        self.session = Some(session);
        sent.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: object_store::Error) -> Error {
        explain(Phase::InUse, "cannot store the object", error).with("key", &self.path)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let abort = session.abort(self.place.clone(), self.path.clone());
            drop(self.io.spawn(abort));
        }
    }
}

/// An upload in parts that the store knows of.
struct Session {
    id: MultipartId,
    sent: Vec<PartId>,
    in_flight: VecDeque<Call<PartId>>,
}

impl Session {
    async fn begin(place: Arc<Place>, io: &Io, path: Path) -> StoreResult<Self> {
        let begin = async move {
            let begin = || place.parts.store.create_multipart(&path);
            place.retries.run(begin).await
        };
        Ok(Self {
            id: io.call(begin).await?,
            sent: Vec::new(),
            in_flight: VecDeque::new(),
        })
    }

    fn len(&self) -> usize {
        self.sent.len() + self.in_flight.len()
    }

    /// Sends a part once fewer than allowed are in flight.
    async fn send(&mut self, place: Arc<Place>, io: &Io, path: Path, part: PutPayload) -> StoreResult<()> {
        let finished = |call: &Call<_>| call.is_finished();
        while self.in_flight.len() >= place.parts.in_flight || self.in_flight.front().is_some_and(finished) {
            self.collect().await?;
        }
        let permit = place.permits.clone().acquire_owned().await;
        let (id, number) = (self.id.clone(), self.len());
        self.in_flight.push_back(io.call(async move {
            let put = || place.parts.store.put_part(&path, &id, number, part.clone());
            let outcome = place.parts.retries.run(put).await;
            drop(permit);
            outcome
        }));
        Ok(())
    }

    async fn complete(&mut self, place: Arc<Place>, io: &Io, path: Path) -> StoreResult<()> {
        while !self.in_flight.is_empty() {
            self.collect().await?;
        }
        let (id, sent) = (self.id.clone(), self.sent.clone());
        let complete = async move {
            let complete = || place.parts.store.complete_multipart(&path, &id, sent.clone());
            place.parts.retries.run(complete).await.map(drop)
        };
        io.call(complete).await
    }

    /// Waits for the oldest part in flight.
    async fn collect(&mut self) -> StoreResult<()> {
        if let Some(call) = self.in_flight.pop_front() {
            self.sent.push(call.await?);
        }
        Ok(())
    }

    /// Tells the store to forget the parts. What does not succeed is left to the rules of the bucket.
    async fn abort(self, place: Arc<Place>, path: Path) {
        for call in self.in_flight {
            call.stop().await;
        }
        let abort = || place.parts.store.abort_multipart(&path, &self.id);
        let _ = place.parts.retries.run(abort).await;
    }
}
