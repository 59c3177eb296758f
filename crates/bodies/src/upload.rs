//! An object under way in parts. Dropped before it is complete, also by a caller that went away in the middle of a
//! request, it removes its parts.

use std::sync::Arc;

use buzon_types::body_ref::ObjectId;
use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};

use crate::error::BodiesError;
use crate::requests::Requests;

/// The parts that the store has so far.
#[derive(Debug)]
pub(crate) struct Upload {
    requests: Arc<Requests>,
    object: ObjectId,
    /// Gone once the object is complete or its parts are being removed.
    parts: Option<Box<dyn MultipartUpload>>,
    bytes: u64,
}

impl Upload {
    /// If the store starts it and the answer is lost, the empty upload stays until the bucket's own rule for
    /// unfinished uploads removes it.
    pub(crate) async fn start(requests: Arc<Requests>, object: ObjectId) -> Result<Self, BodiesError> {
        let parts = Some(requests.multipart_start(object).await?);
        Ok(Self { requests, object, parts, bytes: 0 })
    }

    /// After an error the upload cannot go on: its parts would no more be in row.
    pub(crate) async fn part(&mut self, bytes: Bytes) -> Result<(), BodiesError> {
        self.bytes += bytes.len() as u64;
        let parts =
            self.parts.as_mut().expect("only complete and abort take it, and they consume the upload");
        self.requests.multipart_part(self.object, parts.as_mut(), PutPayload::from_bytes(bytes)).await
    }

    /// The parts become the object.
    pub(crate) async fn complete(mut self) -> Result<(), BodiesError> {
        let parts =
            self.parts.as_mut().expect("only complete and abort take it, and they consume the upload");
        let completed = self.requests.multipart_complete(self.object, parts.as_mut()).await;
        if let Err(error) = completed {
            // The answer to a complete that worked may be lost, and its retry finds no upload any more. The name is
            // ours alone: an object of the right size under it is this one.
            let is_there = self.requests.answers_can_be_lost
                && self.requests.size(self.object).await.is_ok_and(|size| size == self.bytes);
            if !is_there {
                self.abort().await;
                return Err(error);
            }
        }
        self.parts = None;
        Ok(())
    }

    /// Removes the parts; what cannot be removed now is left to the bucket's rule.
    pub(crate) async fn abort(mut self) {
        if let Some(parts) = self.parts.take() {
            abort(&self.requests, self.object, parts).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        // Without a runtime the process is ending, and the bucket's rule removes the parts.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (requests, object) = (self.requests.clone(), self.object);
            runtime.spawn(async move { abort(&requests, object, parts).await });
        }
    }
}

async fn abort(requests: &Requests, object: ObjectId, mut parts: Box<dyn MultipartUpload>) {
    if let Err(error) = requests.multipart_abort(object, parts.as_mut()).await {
        tracing::debug!(%object, error = &error as &dyn std::error::Error, "parts of a body are left behind");
    }
}
