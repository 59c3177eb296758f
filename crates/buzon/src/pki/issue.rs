//! `buzon pki`: a CA for the nodes of a cluster, and certificates that say what each node is.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use buzon_tls::peer::Role;
use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use super::{CERTIFICATE_DAYS, ca_params, valid_for, write_public, write_secret};
use crate::cli::{PkiCommand, PkiRole};

/// Runs one command.
///
/// # Errors
/// If files cannot be written, or would be overwritten.
pub(crate) fn main(command: &PkiCommand) -> anyhow::Result<ExitCode> {
    match command {
        PkiCommand::Init { dir } => init(dir)?,
        PkiCommand::Issue { dir, role, name, hosts } => issue(dir, *role, name, hosts)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn init(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let (ca, key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    if ca.exists() || key.exists() {
        bail!("{} holds a CA already: nodes trust it, so it is not replaced", dir.display());
    }
    let issuer = CertifiedIssuer::self_signed(ca_params()?, KeyPair::generate()?)?;
    write_secret(&key, &issuer.key().serialize_pem())?;
    write_public(&ca, &issuer.pem())?;
    println!("{}", ca.display());
    Ok(())
}

fn issue(dir: &Path, role: PkiRole, name: &str, hosts: &[String]) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ensure!(
        !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') && name != "ca",
        "--name `{name}`: use letters, digits, '-', '_' and '.'"
    );
    let ca_key = dir.join("ca-key.pem");
    let ca_key = fs::read_to_string(&ca_key)
        .with_context(|| format!("read {}: make a CA by `buzon pki init`", ca_key.display()))?;
    let ca = ca_params()?;
    let issuer = Issuer::from_params(&ca, KeyPair::from_pem(&ca_key)?);
    let key = KeyPair::generate()?;
    let certificate = params(role, name, hosts)?.signed_by(&key, &issuer)?;
    let file = dir.join(format!("{name}.pem"));
    write_secret(&dir.join(format!("{name}-key.pem")), &key.serialize_pem())?;
    write_public(&file, &certificate.pem())?;
    println!("{}", file.display());
    Ok(())
}

fn params(role: PkiRole, name: &str, hosts: &[String]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    for host in hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(
                host.as_str().try_into().with_context(|| format!("--host `{host}` is no host name"))?,
            ),
        });
    }
    let role = match role {
        PkiRole::Metad => Role::Metad,
        PkiRole::Frontend => Role::Frontend,
    };
    params.subject_alt_names.push(SanType::URI(role.uri().try_into()?));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Nodes are servers and clients of each other.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    valid_for(&mut params, CERTIFICATE_DAYS);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn certificates_say_what_a_node_is_and_a_ca_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        assert!(init(dir.path()).unwrap_err().to_string().contains("already"));
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        issue(dir.path(), PkiRole::Frontend, "fe-1", &hosts).unwrap();
        let certificate = CertificateDer::from_pem_file(dir.path().join("fe-1.pem")).unwrap();
        assert_eq!(Role::of(&certificate), Some(Role::Frontend));
        assert!(issue(dir.path(), PkiRole::Metad, "../x", &hosts).is_err());
        assert!(issue(dir.path(), PkiRole::Metad, "ca", &hosts).is_err());
    }
}
