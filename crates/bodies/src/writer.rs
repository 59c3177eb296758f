//! A body on its way into an object of its own: in one request when it fits a part, else part by part.

use std::sync::Arc;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::{Bytes, BytesMut};
use object_store::PutPayload;

use crate::error::{BodiesError, RequestKind};
use crate::format::{self, Frame, HEADER_BYTES};
use crate::name;
use crate::requests::Requests;
use crate::upload::Upload;

/// The least that S3 takes as a part. All parts but the last have exactly this size: some servers insist.
/// 10,000 parts may make an object, so a body may have 48 GiB.
const PART_BYTES: usize = 5 << 20;

/// Takes a body in pieces. Holds at most one part in memory; `write` waits while a part is on its way, which is the
/// back-pressure. Nothing is visible before [`BodyWriter::finish`] returns; dropped unfinished, it leaves nothing
/// (as far as the store lets it: a store that is away keeps the parts until the bucket's own rule removes them).
#[derive(Debug)]
pub struct BodyWriter {
    requests: Arc<Requests>,
    object: ObjectId,
    frame: Frame,
    pending: BytesMut,
    upload: Option<Upload>,
    /// A part was being sent and did not arrive, because it failed or its caller went away: the rest has no place.
    broken: bool,
}

impl BodyWriter {
    /// `expected`: how long the body will be, if known; only saves copying.
    pub(crate) fn new(requests: Arc<Requests>, expected: usize) -> Self {
        let object = name::fresh();
        let room = format::bytes_with_one(expected as u64).min(PART_BYTES as u64);
        let mut pending = BytesMut::with_capacity(room as usize);
        pending.extend_from_slice(&format::header(object));
        Self {
            requests,
            object,
            frame: Frame::begin(object, HEADER_BYTES),
            pending,
            upload: None,
            broken: false,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// After one, or after dropping this future unfinished, the writer is of no more use and refuses everything:
    /// drop it and begin again with a new one.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BodiesError> {
        self.frame.update(&bytes);
        self.append(&bytes).await
    }

    /// The bytes taken so far.
    pub fn length(&self) -> u64 {
        self.frame.length()
    }

    /// Makes the body durable and readable.
    ///
    /// # Errors
    /// No such body can be read then. (An object that nobody names may stay: garbage for the collector.)
    pub async fn finish(mut self) -> Result<BodyRef, BodiesError> {
        self.check_whole()?;
        let entry = self.frame.clone().finish();
        self.append(&entry.seal.to_be_bytes()).await?;
        self.append(&format::trailer(self.object, &[entry])).await?;
        let rest = self.pending.split().freeze();
        match self.upload.take() {
            None => self.requests.put(self.object, PutPayload::from_bytes(rest)).await?,
            Some(mut upload) => {
                upload.part(rest).await?;
                upload.complete().await?;
            }
        }
        Ok(entry.body)
    }

    /// Gives the body up and waits until what was sent is removed.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort().await;
        }
    }

    async fn append(&mut self, mut bytes: &[u8]) -> Result<(), BodiesError> {
        while self.pending.len() + bytes.len() > PART_BYTES {
            let (fitting, rest) = bytes.split_at(PART_BYTES - self.pending.len());
            self.pending.extend_from_slice(fitting);
            self.send_part().await?;
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), BodiesError> {
        self.check_whole()?;
        self.broken = true;
        let part = self.pending.split().freeze();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            empty => empty.insert(Upload::start(self.requests.clone(), self.object).await?),
        };
        upload.part(part).await?;
        self.broken = false;
        Ok(())
    }

    fn check_whole(&self) -> Result<(), BodiesError> {
        if self.broken {
            return Err(BodiesError::Unavailable { request: RequestKind::MultipartPart, source: None });
        }
        Ok(())
    }
}
