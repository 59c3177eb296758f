//! The private CA and certificate that a data directory starts with, so that the first start speaks TLS.
//!
//! `pki/ca.pem` is what clients trust; the keys are readable by their owner alone. A certificate that is about to
//! expire is made anew at start.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) mod issue;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

/// How long the CA is valid.
const CA_DAYS: u64 = 3650;
/// How long a certificate is valid; clients refuse ones for much more than a year.
const CERTIFICATE_DAYS: u64 = 397;
/// A certificate with less time left is made anew.
const RENEW_DAYS: u64 = 30;

/// Paths of PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Pki {
    /// What clients trust.
    pub(crate) ca: PathBuf,
    /// The server's certificate.
    pub(crate) certificate: PathBuf,
    /// The server's key.
    pub(crate) key: PathBuf,
}

impl Pki {
    /// Where a data directory keeps them.
    pub(crate) fn in_dir(data_dir: &Path) -> Self {
        let dir = data_dir.join("pki");
        Self { ca: dir.join("ca.pem"), certificate: dir.join("server.pem"), key: dir.join("server-key.pem") }
    }

    /// Makes what is missing or about to expire.
    ///
    /// # Errors
    /// If the folder cannot be written or holds a CA without its key.
    pub(crate) fn ensure(data_dir: &Path, host_name: &str) -> anyhow::Result<Self> {
        let pki = Self::in_dir(data_dir);
        let ca_key = data_dir.join("pki/ca-key.pem");
        fs::create_dir_all(data_dir.join("pki")).context("make the folder of certificates")?;
        if !pki.ca.exists() {
            let issuer = CertifiedIssuer::self_signed(ca_params()?, KeyPair::generate()?)?;
            write_secret(&ca_key, &issuer.key().serialize_pem())?;
            write_public(&pki.ca, &issuer.pem())?;
        }
        if !pki.is_fresh() {
            let key = KeyPair::from_pem(&fs::read_to_string(&ca_key).context("read the CA's key")?)?;
            // Only its name and key go into what it signs, and both are the same as when it was made.
            let params = ca_params()?;
            let issuer = Issuer::from_params(&params, key);
            let key = KeyPair::generate()?;
            let certificate = server_params(host_name)?.signed_by(&key, &issuer)?;
            write_secret(&pki.key, &key.serialize_pem())?;
            write_public(&pki.certificate, &certificate.pem())?;
        }
        Ok(pki)
    }

    fn is_fresh(&self) -> bool {
        let made = fs::metadata(&self.certificate).and_then(|it| it.modified());
        let age = made.ok().and_then(|made| SystemTime::now().duration_since(made).ok());
        self.key.exists() && age.is_some_and(|age| age < days(CERTIFICATE_DAYS - RENEW_DAYS))
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

fn ca_params() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Buzon private CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_DAYS);
    Ok(params)
}

fn server_params(host_name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, host_name);
    params.subject_alt_names = vec![
        SanType::DnsName(host_name.try_into()?),
        SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        SanType::IpAddress(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
    ];
    if host_name != "localhost" {
        params.subject_alt_names.push(SanType::DnsName("localhost".try_into()?));
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_for(&mut params, CERTIFICATE_DAYS);
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, count: u64) {
    let now = SystemTime::now();
    params.not_before = (now - days(1)).into(); // clocks of clients differ
    params.not_after = (now + days(count)).into();
}

fn write_public(path: &Path, text: &str) -> anyhow::Result<()> {
    write_atomically(path, text, 0o644)
}

/// Readable by its owner alone, from its first byte on.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    write_atomically(path, text, 0o600)
}

/// A reader sees the old file or the whole new one.
fn write_atomically(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_keys_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::ensure(dir.path(), "mx.example.com").unwrap();
        let first = fs::read(&pki.certificate).unwrap();
        Pki::ensure(dir.path(), "mx.example.com").unwrap();
        assert_eq!(fs::read(&pki.certificate).unwrap(), first);
        for key in ["pki/ca-key.pem", "pki/server-key.pem"] {
            assert_eq!(fs::metadata(dir.path().join(key)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
