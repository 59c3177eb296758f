//! Buzon's administration by gRPC: thousands of accounts without a process for each.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use buzon_proto::pb::admin::v1::admin_service_client::AdminServiceClient;
use buzon_proto::pb::admin::v1::{AddDomainRequest, CreateAccountRequest, CreateTenantRequest};
use futures::{StreamExt, TryStreamExt, stream};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::{Account, DOMAIN, PASSWORD};

/// Calls under way at a time: passwords are hashed on all cores, entries share an fsync.
const CALLS_MAX: usize = 16;
const TENANT: &str = "bench";

/// Where administration is asked, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    /// Its listener.
    pub(super) address: SocketAddr,
    /// The file with the token.
    pub(super) token: String,
    /// Who signed the listener's certificate, in PEM.
    pub(super) ca: Vec<u8>,
}

impl Admin {
    /// Reads the files.
    ///
    /// # Errors
    /// If one is missing.
    pub(super) fn open(address: SocketAddr, token: &Path, ca: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
        Ok(Self { address, token: String::from_utf8(read(token)?)?.trim().to_owned(), ca: read(ca)? })
    }

    /// Makes the accounts, and tenant and domain when they are missing.
    ///
    /// # Errors
    /// If one is refused.
    pub(super) fn add_accounts(&self, accounts: &[Account]) -> anyhow::Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.add(accounts))
    }

    async fn add(&self, accounts: &[Account]) -> anyhow::Result<()> {
        let tls = ClientTlsConfig::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(self.ca.clone()));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))?.tls_config(tls)?;
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", self.token).parse()?;
        bearer.set_sensitive(true);
        let with_token = move |mut request: Request<()>| -> Result<Request<()>, Status> {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        };
        let admin = AdminServiceClient::with_interceptor(endpoint.connect().await?, with_token);
        let mut first = admin.clone();
        let tenant = CreateTenantRequest { name: TENANT.to_owned(), ..CreateTenantRequest::default() };
        or_there(first.create_tenant(tenant).await)?;
        let domain = AddDomainRequest { tenant: TENANT.to_owned(), domain: DOMAIN.to_owned() };
        or_there(first.add_domain(domain).await)?;
        let calls = accounts.iter().map(|account| {
            let (mut admin, address) = (admin.clone(), account.address());
            let password = account.can_log_in.then(|| PASSWORD.to_owned());
            async move {
                let ask = CreateAccountRequest { address, password, ..CreateAccountRequest::default() };
                or_there(admin.create_account(ask).await)
            }
        });
        stream::iter(calls)
            .buffer_unordered(CALLS_MAX)
            .try_collect::<Vec<()>>()
            .await
            .context("make accounts")?;
        Ok(())
    }
}

/// What is there already is no error.
fn or_there<T>(answer: Result<T, Status>) -> Result<(), Status> {
    match answer {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(status),
    }
}
