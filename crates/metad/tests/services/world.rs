//! A node with a directory and a shard, a client, and an administrator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::meta::{Deadlines, Meta, Options};
use buzon_meta_client::transport::Transport;
use buzon_meta_store::sqlite::SqliteStore;
use buzon_metad::server::{Options as ServerOptions, Server};
use buzon_model::command::{Command, NewMessage, ShardCommand};
use buzon_model::read::{OpenedMailbox, ReadAt};
use buzon_model::reply::Reply;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::pb::admin::v1::admin_service_client::AdminServiceClient;
use buzon_types::address::Address;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::SystemFlags;
use buzon_types::id::{DIRECTORY, GroupId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;
use buzon_types::time::InternalDate;
use buzon_types::uid_set::UidSet;
use opentelemetry::metrics::Meter;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use crate::replica::{Codec, TestGroup, TestGroups};

pub(crate) const SHARD: GroupId = GroupId(1);
pub(crate) const TOKEN: &str = "correct horse";

type WithToken = fn(Request<()>) -> Result<Request<()>, Status>;
pub(crate) type AdminClient = AdminServiceClient<InterceptedService<Transport, WithToken>>;

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) shard: Arc<TestGroup>,
    pub(crate) directory: Arc<TestGroup>,
    pub(crate) meta: Meta,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::observed(opentelemetry::global::meter("test")).await
    }

    /// Its metrics go there.
    pub(crate) async fn observed(meter: Meter) -> Self {
        Self::over(tempfile::tempdir().unwrap(), meter).await
    }

    /// The process is gone, and another begins where the rows stand.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, shard, directory, meta, folder } = self;
        drop((server, shard, directory, meta));
        Self::over(folder, opentelemetry::global::meter("test")).await
    }

    async fn over(folder: tempfile::TempDir, meter: Meter) -> Self {
        let store = SqliteStore::open(&folder.path().join("rows"), Arc::new(Codec)).await.unwrap();
        let store: Arc<dyn buzon_meta_store::store::MetaStore> = Arc::new(store);
        let mut groups = BTreeMap::new();
        for id in [DIRECTORY, SHARD] {
            groups.insert(id, TestGroup::open(id, Arc::clone(&store)).await);
        }
        let (shard, directory) = (Arc::clone(&groups[&SHARD]), Arc::clone(&groups[&DIRECTORY]));
        let options = ServerOptions { admin_token: Secret::new(TOKEN.to_owned()), meter };
        let server = Server::new(Arc::new(TestGroups(groups)), options);
        let meta = Meta::with_transport(Transport::in_process(server.internal_routes()), options_fast());
        Self { server, shard, directory, meta, folder }
    }

    pub(crate) fn admin(&self) -> AdminClient {
        let token: WithToken = |mut request| {
            request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
            Ok(request)
        };
        let transport = Transport::in_process(self.server.admin_routes(&self.meta, None));
        AdminServiceClient::with_interceptor(transport, token)
    }

    /// Tenant `acme`, domain `example.com`, account `ana@example.com`.
    pub(crate) async fn account(&self) -> AccountHandle {
        let mut admin = self.admin();
        admin.create_tenant(pb::CreateTenantRequest { name: "acme".into(), limits: None }).await.unwrap();
        let domain = pb::AddDomainRequest { tenant: "acme".into(), domain: "example.com".into() };
        admin.add_domain(domain).await.unwrap();
        admin.create_account(create("ana@example.com")).await.unwrap();
        self.resolve("ana@example.com").await
    }

    pub(crate) async fn resolve(&self, address: &str) -> AccountHandle {
        self.meta.resolve(&Address::new(address).unwrap()).await.unwrap().unwrap()
    }

    pub(crate) async fn open(&self, of: &AccountHandle, name: &str) -> OpenedMailbox {
        let name = MailboxName::new(name).unwrap();
        self.meta.open_mailbox(of, &name, ReadAt::Linearizable).await.unwrap().value.unwrap()
    }

    pub(crate) async fn key(&self, of: &AccountHandle, name: &str) -> MailboxKey {
        self.open(of, name).await.row.key
    }

    /// Appends in entries of at most 2,000 messages; all UIDs.
    pub(crate) async fn append(&self, of: &AccountHandle, mailbox: MailboxKey, count: u32) -> UidSet {
        let mut all = UidSet::new();
        let mut left = count;
        while left > 0 {
            let now = left.min(2000);
            let messages = (0..now).map(|_| message()).collect();
            let append = ShardCommand::Append { mailbox, messages };
            let outcome = self.meta.propose(of.shard, Command::Shard(append)).await.unwrap().1;
            let Ok(Reply::Appended { uids, .. }) = outcome else { panic!("{outcome:?}") };
            all = all.union(&uids);
            left -= now;
        }
        all
    }
}

pub(crate) fn options_fast() -> Options {
    let deadlines = Deadlines { total: Duration::from_secs(5), attempt: Duration::from_secs(4) };
    Options { deadlines, ..Options::default() }
}

pub(crate) fn create(address: &str) -> pb::CreateAccountRequest {
    pb::CreateAccountRequest {
        tenant: String::new(),
        address: address.into(),
        password: Some("geheim".into()),
        quota: None,
    }
}

pub(crate) fn message() -> NewMessage {
    NewMessage {
        flags: SystemFlags::NONE,
        keywords: vec![],
        internal_date: InternalDate { seconds: 1_700_000_000, zone_minutes: 60 },
        size: 1234,
        body: BodyRef {
            object: ObjectId(7),
            offset: 0,
            length: 1234,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
        summary: bytes::Bytes::from_static(b"summary"),
    }
}
