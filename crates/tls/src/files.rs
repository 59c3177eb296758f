//! PEM files: read, and looked at now and then for changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use crate::certificate::TlsError;

/// A certificate chain and its key.
pub(crate) fn read_key(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let certificates = read_certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider()).map_err(TlsError::Unusable)
}

/// The CAs in a file.
pub(crate) fn read_roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in read_certificates(file)? {
        roots.add(ca).map_err(TlsError::Unusable)?;
    }
    Ok(roots)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable(file))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable(file))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: file.to_owned() });
    }
    Ok(certificates)
}

fn unreadable(path: &Path) -> impl Fn(rustls::pki_types::pem::Error) -> TlsError + use<> {
    let path = path.to_owned();
    move |source| TlsError::Read { path: path.clone(), source }
}

/// Calls `changed` whenever one of the files was written, until `stop`.
pub(crate) async fn follow(
    files: Vec<PathBuf>,
    pause: Duration,
    stop: CancellationToken,
    changed: impl Fn(),
) {
    let stamps = || -> Vec<Option<SystemTime>> {
        files.iter().map(|file| std::fs::metadata(file).and_then(|it| it.modified()).ok()).collect()
    };
    let mut known = stamps();
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let now = stamps();
        if now != known {
            known = now;
            changed();
        }
    }
}
