//! Objects by name, for the collector and for tools: nothing that serves mail lists.

use std::sync::Arc;

use buzon_types::body_ref::ObjectId;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;

use crate::error::{BodiesError, RequestKind};
use crate::name;
use crate::requests::Requests;

/// An object as the store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedObject {
    /// Its name.
    pub object: ObjectId,
    /// Its size, header and index included.
    pub bytes: u64,
}

/// The objects of one of the 256 shards of the name space, in no order. Keys that are not ours are passed over.
pub(crate) fn shard(requests: &Requests, shard: u8) -> BoxStream<'static, Result<ListedObject, BodiesError>> {
    let prefix = Path::from(format!("{}/{shard:02x}", name::ROOT));
    let listed = requests.store().list(Some(&prefix));
    let ours = listed.filter_map(|entry| async move {
        match entry {
            Ok(meta) => {
                name::parse(&meta.location).map(|object| Ok(ListedObject { object, bytes: meta.size }))
            }
            Err(error) => Some(Err(BodiesError::Unavailable {
                request: RequestKind::List,
                source: Some(Arc::new(error)),
            })),
        }
    });
    ours.boxed()
}
