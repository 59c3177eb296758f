//! Reaches the admin service: by the files in a data directory, or by endpoint, token and CA.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use buzon_proto::pb::admin::v1::admin_service_client::AdminServiceClient;
use serde::{Deserialize, Serialize};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::cli::Connection;
use crate::pki::{Pki, write_secret};

/// Adds the token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel whose calls carry the token.
pub(crate) type Authorized = InterceptedService<Channel, Bearer>;
/// The admin service.
pub(crate) type Admin = AdminServiceClient<Authorized>;

/// What a running server leaves in its data directory for `ctl` and for scripts: where it listens.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) imaps: Option<SocketAddr>,
    pub(crate) imap: Option<SocketAddr>,
    pub(crate) lmtp: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    #[serde(default)]
    pub(crate) internal: Option<SocketAddr>,
    /// The CA of the admin listener's certificate; the data directory's own when it is not given.
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The file with the token; in the data directory when it is not given.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
}

impl Running {
    /// Writes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn announce(&self, data_dir: &Path) -> anyhow::Result<()> {
        write_secret(&data_dir.join("running.json"), &serde_json::to_string(self)?)
    }
}

/// Where the token is kept.
pub(crate) fn token_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("admin-token")
}

/// A client for the admin service.
///
/// # Errors
/// If files are missing or the server does not answer.
pub(crate) async fn connect(connection: &Connection) -> anyhow::Result<Admin> {
    let (channel, bearer) = channel(connection).await?;
    Ok(AdminServiceClient::with_interceptor(channel, bearer))
}

/// The connection and the token, for other services on the same listener.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn channel(connection: &Connection) -> anyhow::Result<(Channel, Bearer)> {
    let mut tls = ClientTlsConfig::new();
    let (endpoint, token, ca) = match &connection.endpoint {
        Some(endpoint) => {
            let token = connection.token_file.clone().context("--endpoint needs --token-file")?;
            (endpoint.clone(), token, connection.ca.clone())
        }
        None => {
            let dir = &connection.data_dir;
            let file = dir.join("running.json");
            let text = std::fs::read_to_string(&file).with_context(|| {
                format!("read {}: is a server running on --data-dir {}?", file.display(), dir.display())
            })?;
            let running: Running =
                serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))?;
            let address =
                running.admin.context("the server runs without an admin listener (listen.admin)")?;
            let address = reachable(address);
            // The private certificate names no addresses but loopback; only this server has one from its CA.
            tls = tls.domain_name("localhost");
            let token = running.token_file.unwrap_or_else(|| token_file(dir));
            (format!("https://{address}"), token, Some(running.ca.unwrap_or_else(|| Pki::in_dir(dir).ca)))
        }
    };
    let token = std::fs::read_to_string(&token).with_context(|| format!("read token {}", token.display()))?;
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.trim()).parse().context("token is not ASCII")?;
    value.set_sensitive(true);
    if !endpoint.starts_with("https://") {
        bail!("endpoint `{endpoint}` must begin with https://");
    }
    if let Some(ca) = ca {
        let pem = std::fs::read(&ca).with_context(|| format!("read CA {}", ca.display()))?;
        tls = tls.ca_certificate(Certificate::from_pem(pem));
    }
    let endpoint = Endpoint::from_shared(endpoint)?.tls_config(tls)?;
    Ok((endpoint.connect().await?, Bearer(value)))
}

/// What listens on all addresses is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// For people: the server's own words, or the chain of causes.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    match error.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => format!("admin service is not reached: {error:#}"),
    }
}
