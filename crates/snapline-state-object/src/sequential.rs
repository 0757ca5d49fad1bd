//! Uploads in parts for stores that count the parts themselves.

use async_trait::async_trait;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, MultipartId, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Any store as a [`MultipartStore`] to which the parts come one after the other.
///
/// A part that has failed is lost, and so is the upload.
#[derive(Debug)]
pub(crate) struct Sequential {
    store: Arc<dyn ObjectStore>,
    begun: AtomicU64,
    uploads: Mutex<HashMap<MultipartId, Box<dyn MultipartUpload>>>,
}

impl Sequential {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            begun: AtomicU64::new(0),
            uploads: Mutex::default(),
        }
    }

    async fn take(&self, id: &MultipartId) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.uploads.lock().await.remove(id);
        upload.ok_or_else(unknown)
    }
}

fn unknown() -> Error {
    Error::NotSupported {
        source: "the upload has ended".into(),
    }
}

#[async_trait]
impl MultipartStore for Sequential {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let upload = self.store.put_multipart(path).await?;
        let id = self.begun.fetch_add(1, Ordering::Relaxed).to_string();
        self.uploads.lock().await.insert(id.clone(), upload);
        Ok(id)
    }

    async fn put_part(&self, _: &Path, id: &MultipartId, number: usize, data: PutPayload) -> Result<PartId> {
        let part = {
            let mut uploads = self.uploads.lock().await;
            uploads.get_mut(id).ok_or_else(unknown)?.put_part(data)
        };
        part.await?;
        Ok(PartId {
            content_id: number.to_string(),
        })
    }

    async fn complete_multipart(&self, _: &Path, id: &MultipartId, _: Vec<PartId>) -> Result<PutResult> {
        self.take(id).await?.complete().await
    }

    async fn abort_multipart(&self, _: &Path, id: &MultipartId) -> Result<()> {
        self.take(id).await?.abort().await
    }
}
