//! Certificates of the tests' own, for what the server does with ones that are not its own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// PEM files of a server's certificate and the CA that signed it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The CA.
    pub ca: PathBuf,
    /// The certificate for `localhost`.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificate {
    /// Writes a new CA as `NAME-ca.pem`, and `server.pem` and `server-key.pem` signed by it: in place of older ones.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(dir: &Path, name: &str) -> anyhow::Result<Self> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, format!("test CA {name}"));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        let made = Self {
            ca: dir.join(format!("{name}-ca.pem")),
            certificate: dir.join("server.pem"),
            key: dir.join("server-key.pem"),
        };
        std::fs::write(&made.ca, issuer.pem())?;
        replace(&made.key, &key.serialize_pem())?;
        replace(&made.certificate, &certificate.pem())?;
        Ok(made)
    }
}

/// As tools that renew certificates do it: a reader sees the old file or the new one.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(new, path)?)
}
