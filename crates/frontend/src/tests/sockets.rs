//! Over real sockets: TLS on its port and by STARTTLS, certificates that change, limits, the drain.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use buzon_model::row::Quota;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::harness::{ADDRESS, Line, Server};
use crate::imap::{Imap, Security};
use crate::limits::ConnectionLimits;
use crate::listener::Listeners;
use crate::options::ImapOptions;
use buzon_tls::certificate::Certificate;

/// Writes a certificate for itself; returns a client configuration that trusts it alone.
fn certify(folder: &Path) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn open(folder: &Path) -> Arc<Certificate> {
    Certificate::open(&folder.join("chain.pem"), &folder.join("key.pem")).unwrap()
}

async fn listen(imap: &Imap, listeners: &Listeners, security: Security) -> SocketAddr {
    let imap = imap.clone();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listeners.listen("test", address, move |accepted| imap.clone().accept(accepted, security)).await.unwrap()
}

async fn secure(config: &Arc<ClientConfig>, stream: impl crate::wire::Io + 'static) -> std::io::Result<Line> {
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Line::over(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
}

fn secured(certificate: &Arc<Certificate>) -> Server {
    let config = certificate.server_config().unwrap();
    Server::secured(ImapOptions::default(), Quota::default(), Some(config))
}

#[tokio::test]
async fn tls_on_its_port_and_by_starttls() {
    let folder = tempfile::tempdir().unwrap();
    let client = certify(folder.path());
    let server = secured(&open(folder.path()));
    let listeners = Listeners::new(ConnectionLimits::new(10, 10));
    let tls = listen(&server.imap, &listeners, Security::Tls).await;
    let plain = listen(&server.imap, &listeners, Security::Plaintext).await;
    let mut line = secure(&client, TcpStream::connect(tls).await.unwrap()).await.unwrap();
    let greeting = line.read().await;
    assert!(greeting.contains("AUTH=PLAIN") && !greeting.contains("STARTTLS"), "{greeting}");
    assert!(line.command("a", "STARTTLS").await[0].starts_with("a BAD"));
    let mut line = Line::over(TcpStream::connect(plain).await.unwrap());
    assert!(line.read().await.contains("STARTTLS"));
    // What is sent in plaintext behind STARTTLS must not run inside of TLS.
    line.send_raw(b"a STARTTLS\r\nb NOOP\r\n").await;
    assert!(line.read().await.starts_with("a OK"));
    let mut line = secure(&client, line.into_stream()).await.unwrap();
    line.send(&format!("c LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("c OK"));
}

#[tokio::test]
async fn changed_certificates_are_used_from_the_next_handshake_on() {
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let certificate = open(folder.path());
    let server = secured(&certificate);
    let listeners = Listeners::new(ConnectionLimits::new(10, 10));
    let address = listen(&server.imap, &listeners, Security::Tls).await;
    let connect = || TcpStream::connect(address);
    let mut kept = secure(&old, connect().await.unwrap()).await.unwrap();
    kept.read().await;
    let new = certify(folder.path());
    std::fs::write(folder.path().join("key.pem"), "half written").unwrap();
    certificate.reload();
    assert!(secure(&old, connect().await.unwrap()).await.is_ok(), "what cannot be used changes nothing");
    let new = {
        drop(new);
        certify(folder.path())
    };
    certificate.reload();
    assert!(secure(&new, connect().await.unwrap()).await.is_ok());
    assert!(secure(&old, connect().await.unwrap()).await.is_err());
    assert!(kept.command("a", "NOOP").await[0].starts_with("a OK"), "connections stay");
}

#[tokio::test]
async fn files_are_looked_at_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let certificate = open(folder.path());
    let before = certificate.current();
    let stop = CancellationToken::new();
    let following =
        tokio::spawn(Arc::clone(&certificate).follow_every(Duration::from_millis(1), stop.clone()));
    while Arc::ptr_eq(&certificate.current(), &before) {
        certify(folder.path());
        tokio::task::yield_now().await;
    }
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let server = Server::start();
    let listeners = Listeners::new(ConnectionLimits::new(1, 1));
    let address = listen(&server.imap, &listeners, Security::Plaintext).await;
    let mut first = Line::over(TcpStream::connect(address).await.unwrap());
    assert!(first.read().await.starts_with("* OK"));
    let mut second = Line::over(TcpStream::connect(address).await.unwrap());
    assert_eq!(second.read().await, "* BYE [LIMIT] too many connections");
    assert!(first.command("a", "NOOP").await[0].starts_with("a OK"));
}

#[tokio::test]
async fn the_drain_says_goodbye_and_waits() {
    let server = Server::start();
    let listeners = Listeners::new(ConnectionLimits::new(10, 10));
    let address = listen(&server.imap, &listeners, Security::Plaintext).await;
    let mut line = Line::over(TcpStream::connect(address).await.unwrap());
    line.read().await;
    // In the midst of an APPEND: it is finished first.
    line.send(&format!("a LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("a OK"));
    line.send("b APPEND INBOX {4}").await;
    assert!(line.read().await.starts_with("+ "));
    let draining = tokio::spawn({
        let listeners = listeners.clone();
        async move { listeners.drain(Duration::from_secs(30)).await }
    });
    listeners.draining().cancelled().await;
    line.send("1234").await;
    assert!(line.read().await.starts_with("b OK [APPENDUID"));
    assert!(line.read().await.starts_with("* BYE "));
    draining.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let server = Server::start();
    let listeners = Listeners::new(ConnectionLimits::new(10, 10));
    let address = listen(&server.imap, &listeners, Security::Plaintext).await;
    let mut line = Line::over(TcpStream::connect(address).await.unwrap());
    line.read().await;
    line.send(&format!("a LOGIN {ADDRESS} secret\r\nb APPEND INBOX {{4}}")).await;
    assert!(line.read().await.starts_with("a OK"));
    assert!(line.read().await.starts_with("+ "));
    listeners.drain(Duration::from_millis(1)).await;
    assert_eq!(line.read().await, "");
}

#[test]
fn an_address_of_this_machine_may_log_in_without_tls() {
    let peer = |text: &str| crate::ctx::Peer {
        address: text.parse::<IpAddr>().unwrap(),
        security: Security::Plaintext,
    };
    assert!(
        peer("127.0.0.1").may_log_in() && peer("::1").may_log_in() && peer("::ffff:127.0.0.1").may_log_in()
    );
    assert!(!peer("192.168.1.1").may_log_in());
}
