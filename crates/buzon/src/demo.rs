//! `--demo`: a tenant, a domain, an account with a random password, and a dozen messages that come in over LMTP as
//! all mail does. Starting it again keeps the account and gives it a new password.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use buzon_proto::pb::admin::v1::{
    AddDomainRequest, CreateAccountRequest, CreateTenantRequest, GetAccountRequest, SetPasswordRequest,
};
use rand::Rng;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tonic::Code;

use crate::ctl::connection::Admin;

mod messages;

/// Who the demo is for.
pub(crate) const ACCOUNT: &str = "ana@example.com";
const TENANT: &str = "demo";
const DOMAIN: &str = "example.com";

/// Letters and digits that look alike in no font.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 57^16 passwords.
const PASSWORD_LETTERS: usize = 16;

/// Makes what is missing, and delivers the messages to a mailbox that is new. Answers the password.
///
/// # Errors
/// If the admin service or LMTP refuses something.
pub(crate) async fn prepare(admin: &mut Admin, lmtp: Option<SocketAddr>) -> anyhow::Result<String> {
    let password = password();
    unless_there(admin.create_tenant(CreateTenantRequest { name: TENANT.into(), limits: None }).await)?;
    let domain = AddDomainRequest { tenant: TENANT.into(), domain: DOMAIN.into() };
    unless_there(admin.add_domain(domain).await)?;
    let account = CreateAccountRequest {
        tenant: TENANT.into(),
        address: ACCOUNT.into(),
        password: Some(password.clone()),
        quota: None,
    };
    if unless_there(admin.create_account(account).await)?.is_none() {
        let change = SetPasswordRequest { address: ACCOUNT.into(), password: Some(password.clone()) };
        admin.set_password(change).await?;
    }
    let account = admin.get_account(GetAccountRequest { address: ACCOUNT.into() }).await?.into_inner();
    if account.messages == 0
        && let Some(address) = lmtp
    {
        deliver(address).await.context("deliver the demo's messages")?;
    }
    Ok(password)
}

fn password() -> String {
    let mut random = rand::rng();
    (0..PASSWORD_LETTERS).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

fn unless_there<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(made) => Ok(Some(made.into_inner())),
        Err(status) if status.code() == Code::AlreadyExists => Ok(None),
        Err(status) => Err(status.into()),
    }
}

async fn deliver(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = BufStream::new(TcpStream::connect(address).await?);
    expect(&mut stream, "220").await?;
    say(&mut stream, "LHLO demo.example.com\r\n", "250").await?;
    for message in messages::all()? {
        say(&mut stream, &format!("MAIL FROM:<{}>\r\n", message.from), "250").await?;
        say(&mut stream, &format!("RCPT TO:<{ACCOUNT}>\r\n"), "250").await?;
        say(&mut stream, &format!("BDAT {} LAST\r\n", message.bytes.len()), "").await?;
        stream.write_all(&message.bytes).await?;
        stream.flush().await?;
        expect(&mut stream, "250").await?;
    }
    say(&mut stream, "QUIT\r\n", "221").await
}

/// Writes a line; with a code, reads the reply to it.
async fn say(stream: &mut BufStream<TcpStream>, line: &str, code: &str) -> anyhow::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.flush().await?;
    if code.is_empty() { Ok(()) } else { expect(stream, code).await }
}

async fn expect(stream: &mut BufStream<TcpStream>, code: &str) -> anyhow::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            bail!("connection closed");
        }
        if !line.starts_with(code) {
            bail!("answered: {}", line.trim_end());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
