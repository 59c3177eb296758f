//! A body on its way into an object of its own: in one request when it fits a part, else part by part.

use std::sync::Arc;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};

use crate::error::BodiesError;
use crate::format::{self, Frame, HEADER_BYTES};
use crate::name;
use crate::requests::Requests;

/// The least that S3 takes as a part. All parts but the last have exactly this size: some servers insist.
/// 10,000 parts may make an object, so a body may have 48 GiB.
pub(crate) const PART_BYTES: usize = 5 << 20;

/// Takes a body in pieces. Holds at most one part in memory; `write` waits while a part is on its way, which is the
/// back-pressure. Nothing is visible before [`BodyWriter::finish`] returns; dropped unfinished, it leaves nothing
/// (as far as the store lets it: a store that is away keeps the parts until the bucket's own rule removes them).
#[derive(Debug)]
pub struct BodyWriter {
    requests: Arc<Requests>,
    object: ObjectId,
    frame: Frame,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl BodyWriter {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        let object = name::fresh();
        Self {
            requests,
            object,
            frame: Frame::begin(object, HEADER_BYTES),
            pending: vec![format::header(object)],
            pending_bytes: HEADER_BYTES as usize,
            upload: None,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// After one the writer is of no more use: drop it and begin again with a new one.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BodiesError> {
        self.frame.update(&bytes);
        self.append(bytes).await
    }

    /// The bytes taken so far.
    pub fn length(&self) -> u64 {
        self.frame.length()
    }

    /// Makes the body durable and readable.
    ///
    /// # Errors
    /// There is no such body then, and there will be none.
    pub async fn finish(mut self) -> Result<BodyRef, BodiesError> {
        let entry = std::mem::replace(&mut self.frame, Frame::begin(self.object, HEADER_BYTES)).finish();
        self.append(Bytes::copy_from_slice(&entry.seal.to_be_bytes())).await?;
        self.append(format::trailer(self.object, &[entry])).await?;
        let rest = self.take_pending();
        match self.upload.take() {
            None => self.requests.put(self.object, rest).await?,
            Some(upload) => self.complete(upload, rest, entry.body.length).await?,
        }
        Ok(entry.body)
    }

    /// Gives the body up and removes what was sent; what cannot be removed now is left to the bucket's rule.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(&self.requests, self.object, upload).await;
        }
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<(), BodiesError> {
        while self.pending_bytes + bytes.len() > PART_BYTES {
            let fitting = bytes.split_to(PART_BYTES - self.pending_bytes);
            self.hold(fitting);
            self.send_part().await?;
        }
        self.hold(bytes);
        Ok(())
    }

    fn hold(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pending_bytes += bytes.len();
            self.pending.push(bytes);
        }
    }

    async fn send_part(&mut self) -> Result<(), BodiesError> {
        let part = self.take_pending();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            empty => empty.insert(self.requests.multipart_start(self.object).await?),
        };
        self.requests.multipart_part(self.object, upload.as_mut(), part).await
    }

    fn take_pending(&mut self) -> PutPayload {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending).into_iter().collect()
    }

    async fn complete(
        &self,
        mut upload: Box<dyn MultipartUpload>,
        last: PutPayload,
        body_bytes: u64,
    ) -> Result<(), BodiesError> {
        let completed = async {
            self.requests.multipart_part(self.object, upload.as_mut(), last).await?;
            self.requests.multipart_complete(self.object, upload.as_mut()).await
        };
        let Err(error) = completed.await else { return Ok(()) };
        // The answer to a complete that worked may be lost, and its retry finds no upload any more. The name is
        // ours alone: an object of the right size under it is this one.
        let object_bytes = format::bytes_with_one(body_bytes);
        if self.requests.size(self.object).await.is_ok_and(|size| size == object_bytes) {
            return Ok(());
        }
        abort(&self.requests, self.object, upload).await;
        Err(error)
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        // Without a runtime the process is ending; the bucket's rule removes the parts.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (requests, object) = (self.requests.clone(), self.object);
            runtime.spawn(async move { abort(&requests, object, upload).await });
        }
    }
}

async fn abort(requests: &Requests, object: ObjectId, mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = requests.multipart_abort(object, upload.as_mut()).await {
        tracing::debug!(%object, error = &error as &dyn std::error::Error, "parts of a body are left behind");
    }
}
