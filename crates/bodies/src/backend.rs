//! Opens the store that the options name.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::error::BodiesError;
use crate::name;
use crate::options::{Addressing, Backend, S3Options};

/// A store that cannot be reached at all says so soon, and the next try may meet a living one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first pause is short: most faults of a store are single.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Above this a pause only makes the client wait longer.
const BACKOFF_LAST: Duration = Duration::from_secs(2);

pub(crate) async fn open(backend: &Backend, deadline: Duration) -> Result<Arc<dyn ObjectStore>, BodiesError> {
    match backend {
        Backend::Folder { path } => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || open_folder(&path)).await;
            opened.unwrap_or_else(|error| Err(refused("folder", error)))
        }
        Backend::S3(options) => open_s3(options, deadline),
    }
}

fn open_folder(path: &Path) -> Result<Arc<dyn ObjectStore>, BodiesError> {
    let at = || format!("folder {}", path.display());
    make_folders(path).map_err(|error| refused(at(), error))?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| refused(at(), error))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// Makes every folder that objects will lie in, and flushes their names.
///
/// The store would make them when needed, but of two writers into a new folder only the one that made it flushes its
/// name; the other could acknowledge a body whose folder a power cut then takes away.
fn make_folders(root: &Path) -> io::Result<()> {
    let root = std::path::absolute(root)?;
    let mut new = root.clone();
    let mut above = Vec::new();
    while !new.exists() {
        let Some(parent) = new.parent().map(PathBuf::from) else { break };
        above.push(parent.clone());
        new = parent;
    }
    let bodies = root.join(name::ROOT);
    for shard in 0..=u8::MAX {
        make_private(&bodies.join(format!("{shard:02x}")))?;
    }
    flush_folder(&bodies)?;
    flush_folder(&root)?;
    // Also when nothing was made now: an earlier start may have been cut off between making and flushing.
    // A parent that may not be read was not made by this program.
    match root.parent().map(flush_folder) {
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    above.iter().try_for_each(|folder| flush_folder(folder))
}

/// Mail is nobody else's to read: what is made here is open to this user alone. Folders that exist stay as they are.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn open_s3(options: &S3Options, deadline: Duration) -> Result<Arc<dyn ObjectStore>, BodiesError> {
    // An attempt gets half the time that there is, so that a hung connection leaves room for another.
    let client = ClientOptions::new()
        .with_allow_http(options.allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT.min(deadline / 2))
        .with_timeout(deadline / 2);
    let backoff = BackoffConfig { init_backoff: BACKOFF_FIRST, max_backoff: BACKOFF_LAST, base: 2.0 };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&options.bucket)
        .with_region(&options.region)
        .with_access_key_id(&options.access_key_id)
        .with_secret_access_key(options.secret_access_key.expose())
        .with_virtual_hosted_style_request(options.addressing == Addressing::VirtualHost)
        .with_client_options(client)
        // Time ends retries, not their number; a little before the deadline, so that the cause can be told.
        .with_retry(RetryConfig { backoff, max_retries: usize::MAX, retry_timeout: deadline.mul_f64(0.8) });
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|error| refused(format!("bucket {}", options.bucket), error))?;
    Ok(Arc::new(store))
}

fn refused(what: impl Into<String>, error: impl std::error::Error + Send + Sync + 'static) -> BodiesError {
    BodiesError::Options { reason: what.into(), source: Some(Arc::new(error)) }
}
