//! Who is at the other end of a connection between nodes, as its certificate says.

use std::fmt;

use rustls::pki_types::CertificateDer;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// What a node is. It stands in its certificate as a URI among the subject's alternative names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Holds metadata: may call everything.
    Metad,
    /// Serves mail clients: may ask for and change mail, not raft or administration.
    Frontend,
}

impl Role {
    const ALL: [Self; 2] = [Self::Metad, Self::Frontend];

    /// The URI that makes a certificate one of this role.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Metad => "buzon:metad",
            Self::Frontend => "buzon:frontend",
        }
    }

    /// The role that a certificate gives; none when it names none. The chain was verified before.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let names: Vec<&str> = certificate.valid_uri_names().collect();
        Self::ALL.into_iter().find(|role| names.contains(&role.uri()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

/// Lets calls through that come from a node of one of these roles.
#[derive(Debug, Clone, Copy)]
pub struct Only(pub &'static [Role]);

impl Interceptor for Only {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match request.extensions().get::<Role>() {
            Some(role) if self.0.contains(role) => Ok(request),
            Some(role) => {
                Err(Status::permission_denied(format!("a certificate of {role} may not call this")))
            }
            None => Err(Status::unauthenticated("the connection shows no node's certificate")),
        }
    }
}
