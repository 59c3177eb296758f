//! Two nodes over loopback, with certificates of one CA, of another, and of no role.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::Server;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::connect::Connector;
use crate::listen::incoming;
use crate::mutual::{Files, Mutual};
use crate::peer::{Only, Role};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a node's files.
fn issue(folder: &Path, name: &str, trusts: &Ca, signer: &Ca, role: Option<Role>) -> Files {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    if let Some(role) = role {
        params.subject_alt_names.push(SanType::URI(role.uri().try_into().unwrap()));
    }
    let key = KeyPair::generate().unwrap();
    let files = Files {
        ca: folder.join(format!("{name}-ca.pem")),
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}-key.pem")),
    };
    std::fs::write(&files.ca, trusts.pem()).unwrap();
    std::fs::write(&files.certificate, params.signed_by(&key, signer).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// A node that answers health checks of metads alone.
async fn serve(files: Files) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = HealthServer::with_interceptor(
        HealthService::from_health_reporter(HealthReporter::new()),
        Only(&[Role::Metad]),
    );
    let incoming = incoming(listener, Mutual::open(files).unwrap());
    tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
    address
}

async fn check(mutual: &Arc<Mutual>, server: SocketAddr) -> Result<(), Code> {
    let address = format!("localhost:{}", server.port());
    let channel = Connector::Mutual(Arc::clone(mutual)).channel(&address).unwrap();
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn only_nodes_of_the_cluster_and_of_the_right_role_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, foreign) = (ca(), ca());
    let node = |name: &str, trusts: &Ca, signer: &Ca, role| {
        Mutual::open(issue(folder.path(), name, trusts, signer, role)).unwrap()
    };
    let server = serve(issue(folder.path(), "server", &ours, &ours, Some(Role::Metad))).await;
    assert_eq!(check(&node("metad", &ours, &ours, Some(Role::Metad)), server).await, Ok(()));
    let frontend = node("frontend", &ours, &ours, Some(Role::Frontend));
    assert_eq!(check(&frontend, server).await, Err(Code::PermissionDenied));
    assert!(check(&node("nobody", &ours, &ours, None), server).await.is_err());
    assert!(check(&node("foreign", &ours, &foreign, Some(Role::Metad)), server).await.is_err());
    // And the client looks whom it speaks to.
    let impostor = serve(issue(folder.path(), "impostor", &ours, &foreign, Some(Role::Metad))).await;
    assert!(check(&node("victim", &ours, &ours, Some(Role::Metad)), impostor).await.is_err());
}

#[tokio::test]
async fn new_connections_use_the_newest_files() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (ca(), ca());
    let server = serve(issue(folder.path(), "server", &new, &new, Some(Role::Metad))).await;
    let client = Mutual::open(issue(folder.path(), "client", &old, &old, Some(Role::Metad))).unwrap();
    assert!(check(&client, server).await.is_err());
    issue(folder.path(), "client", &new, &new, Some(Role::Metad));
    client.reload();
    assert_eq!(check(&client, server).await, Ok(()));
    std::fs::write(folder.path().join("client.pem"), "nonsense").unwrap();
    client.reload();
    assert_eq!(check(&client, server).await, Ok(()));
}

#[test]
fn an_address_is_a_host_and_a_port() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    assert!(Connector::Plain.channel("metad-0.metad:7071").is_ok());
    assert!(Connector::Plain.channel("[::1]:7071").is_ok());
    for wrong in ["", "metad", ":7071", "a b:1", "http://metad:1"] {
        assert!(Connector::Plain.channel(wrong).is_err(), "{wrong}");
    }
}
