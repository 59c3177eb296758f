//! The node's services, ready to be mounted: the internal ones for front ends and other nodes, and administration.

use std::sync::Arc;

use buzon_consensus::node::Node;
use buzon_meta_client::meta::Meta;
use buzon_meta_client::transport::Local;
use buzon_proto::pb::admin::v1::admin_service_server::AdminServiceServer;
use buzon_proto::pb::directory::v1::directory_service_server::DirectoryServiceServer;
use buzon_proto::pb::mail::v1::mail_service_server::MailServiceServer;
use buzon_tls::peer::{Only, Role};
use buzon_types::secret::Secret;
use opentelemetry::metrics::Meter;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::admin::Admin;
use crate::auth::Bearer;
use crate::cluster::{Cluster, Control};
use crate::directory::Directory;
use crate::gauges;
use crate::groups::Groups;
use crate::janitor::Janitor;
use crate::mail::Mail;
use crate::observe::Observer;
use crate::password::Hasher;

/// The largest request: a log entry of the largest size, and its envelope.
const REQUEST_BYTES_MAX: usize = 2 << 20;

/// What the node's owner decides.
#[derive(Debug)]
pub struct Options {
    /// Who shows it administers. An empty one fits nobody.
    pub admin_token: Secret<String>,
    /// Where metrics go.
    pub meter: Meter,
}

/// The services of one node. Needs a tokio runtime from its start on.
pub struct Server {
    groups: Arc<dyn Groups>,
    observer: Observer,
    admin_token: Secret<String>,
    hasher: Arc<Hasher>,
    janitor: Janitor,
    janitor_task: JoinHandle<()>,
    health: HealthReporter,
}

impl Server {
    /// Serves groups.
    pub fn new(groups: Arc<dyn Groups>, options: Options) -> Self {
        gauges::observe(&options.meter, &groups);
        let (janitor, janitor_task) = Janitor::start(Arc::clone(&groups));
        Self {
            groups,
            observer: Observer::new(&options.meter),
            admin_token: options.admin_token,
            hasher: Arc::new(Hasher::new()),
            janitor,
            janitor_task,
            health: HealthReporter::new(),
        }
    }

    /// MailService, DirectoryService and health: for a front end in this process.
    pub fn internal_routes(&self) -> Routes {
        Routes::new(self.mail_server())
            .add_service(DirectoryServiceServer::new(self.directory()))
            .add_service(self.health_service())
    }

    /// The same services, to be called as functions.
    pub fn local(&self) -> Local {
        Local { mail: Arc::new(self.mail()), directory: Arc::new(self.directory()) }
    }

    /// What the nodes' listener serves: raft, the cluster and administration to metadata nodes, mail and directory to
    /// front ends too. `meta` reaches all groups, wherever they are led.
    pub fn node_routes(&self, node: &Node, cluster: Cluster, meta: &Meta, control: Control) -> Routes {
        const NODES: Only = Only(&[Role::Metad, Role::Frontend]);
        const METADS: Only = Only(&[Role::Metad]);
        let admin = self.admin(meta, Some(control), false);
        node.transport(METADS)
            .add_service(cluster.service())
            .add_service(InterceptedService::new(AdminServiceServer::new(admin), METADS))
            .add_service(InterceptedService::new(self.mail_server(), NODES))
            .add_service(InterceptedService::new(DirectoryServiceServer::new(self.directory()), NODES))
            .add_service(self.health_service())
    }

    /// AdminService, behind its token, and health, open. `meta` reaches all groups; `control` the other
    /// nodes, where there are several.
    pub fn admin_routes(&self, meta: &Meta, control: Option<Control>) -> Routes {
        let admin = self.admin(meta, control, true);
        Routes::new(AdminServiceServer::with_interceptor(admin, Bearer::new(self.admin_token.clone())))
            .add_service(self.health_service())
    }

    fn mail(&self) -> Mail {
        Mail {
            groups: Arc::clone(&self.groups),
            janitor: self.janitor.clone(),
            observer: self.observer.clone(),
        }
    }

    fn mail_server(&self) -> MailServiceServer<Mail> {
        MailServiceServer::new(self.mail()).max_decoding_message_size(REQUEST_BYTES_MAX)
    }

    fn directory(&self) -> Directory {
        Directory { groups: Arc::clone(&self.groups), observer: self.observer.clone() }
    }

    fn admin(&self, meta: &Meta, control: Option<Control>, passes_on: bool) -> Admin {
        Admin {
            groups: Arc::clone(&self.groups),
            meta: meta.clone(),
            control,
            passes_on,
            observer: self.observer.clone(),
            hasher: Arc::clone(&self.hasher),
        }
    }

    /// What lets calls through to other services on the admin listener.
    pub fn bearer(&self) -> Bearer {
        Bearer::new(self.admin_token.clone())
    }

    fn health_service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.health.clone()))
    }

    /// What the health service says.
    pub async fn set_ready(&self, is_ready: bool) {
        use tonic_health::ServingStatus;
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", "buzon.mail.v1.MailService", "buzon.directory.v1.DirectoryService"] {
            self.health.set_service_status(service, status).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.janitor_task.abort();
    }
}
