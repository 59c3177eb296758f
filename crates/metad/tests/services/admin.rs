//! Administration through its gRPC service.

use buzon_meta_client::transport::Transport;
use buzon_metad::groups::Replica;
use buzon_model::command::{Command, DirectoryCommand};
use buzon_model::read::ReadAt;
use buzon_model::row::AccountState;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::pb::admin::v1::admin_service_client::AdminServiceClient;
use buzon_proto::pb::log::v1::Quota;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::DIRECTORY;
use tonic::Status;

use crate::world::{World, create};

fn code(status: &Status) -> ErrorCode {
    CallError::from(status).code
}

fn get(address: &str) -> pb::GetAccountRequest {
    pb::GetAccountRequest { address: address.into() }
}

#[tokio::test]
async fn without_the_token_nobody_administers() {
    let world = World::new().await;
    let mut stranger =
        AdminServiceClient::new(Transport::in_process(world.server.admin_routes(&world.meta, None)));
    let status = stranger.list_tenants(pb::ListTenantsRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (tonic::Code::Unauthenticated, ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn tenants_and_domains_live_and_die() {
    let world = World::new().await;
    let mut admin = world.admin();
    world.account().await;
    let tenant = admin.get_tenant(pb::GetTenantRequest { name: "acme".into() }).await.unwrap().into_inner();
    assert_eq!((tenant.accounts, tenant.domains), (1, 1));
    let again = pb::CreateTenantRequest { name: "acme".into(), limits: None };
    let status = admin.create_tenant(again).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::AlreadyExists);
    assert!(status.message().contains("acme"), "{status:?}");
    let bad = pb::CreateTenantRequest { name: "a b".into(), limits: None };
    assert_eq!(code(&admin.create_tenant(bad).await.unwrap_err()), ErrorCode::Invalid);
    let remove = || pb::RemoveDomainRequest { domain: "example.com".into() };
    assert_eq!(code(&admin.remove_domain(remove()).await.unwrap_err()), ErrorCode::Precondition);
    let delete = || pb::DeleteTenantRequest { name: "acme".into() };
    assert_eq!(code(&admin.delete_tenant(delete()).await.unwrap_err()), ErrorCode::Precondition);
    admin.delete_account(pb::DeleteAccountRequest { address: "ana@example.com".into() }).await.unwrap();
    admin.remove_domain(remove()).await.unwrap();
    admin.delete_tenant(delete()).await.unwrap();
    let status = admin.get_tenant(pb::GetTenantRequest { name: "acme".into() }).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::NotFound);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    let mut admin = world.admin();
    world.account().await;
    for name in ["b", "c"] {
        let address = format!("{name}@example.com");
        admin.create_account(pb::CreateAccountRequest { password: None, ..create(&address) }).await.unwrap();
        admin.create_tenant(pb::CreateTenantRequest { name: name.into(), limits: None }).await.unwrap();
    }
    let (mut tenants, mut page) = (Vec::new(), String::new());
    loop {
        let request = pb::ListTenantsRequest { page, rows_max: 2 };
        let answer = admin.list_tenants(request).await.unwrap().into_inner();
        tenants.extend(answer.tenants.into_iter().map(|tenant| tenant.name));
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(tenants, ["acme", "b", "c"]);
    let (mut accounts, mut page) = (Vec::new(), String::new());
    loop {
        let request = pb::ListAccountsRequest { tenant: "acme".into(), page, rows_max: 1 };
        let answer = admin.list_accounts(request).await.unwrap().into_inner();
        accounts.extend(answer.accounts.into_iter().map(|account| account.address));
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(accounts, ["ana@example.com", "b@example.com", "c@example.com"]);
    let domains = admin.list_domains(pb::ListDomainsRequest::default()).await.unwrap().into_inner().domains;
    assert_eq!(domains.len(), 1);
    assert_eq!((domains[0].tenant.as_str(), domains[0].addresses), ("acme", 3));
}

#[tokio::test]
async fn an_account_is_changed() {
    let world = World::new().await;
    let mut admin = world.admin();
    let ana = world.account().await;
    let address = || "ana@example.com".to_owned();
    let before = world.meta.credential(&ana, ReadAt::Linearizable).await.unwrap().value;

    admin
        .set_password(pb::SetPasswordRequest { address: address(), password: Some("neu".into()) })
        .await
        .unwrap();
    let after = world.meta.credential(&ana, ReadAt::Linearizable).await.unwrap().value;
    assert!(after.version > before.version && after.credential != before.credential);

    let account = admin.suspend_account(pb::SuspendAccountRequest { address: address() }).await.unwrap();
    assert_eq!(account.into_inner().status(), pb::AccountStatus::Suspended);
    let state = world.meta.credential(&ana, ReadAt::Linearizable).await.unwrap().value.state;
    assert_eq!(state, AccountState::Suspended);
    let account = admin.resume_account(pb::ResumeAccountRequest { address: address() }).await.unwrap();
    assert_eq!(account.into_inner().status(), pb::AccountStatus::Active);

    let quota = Some(Quota { bytes_max: Some(1 << 20), messages_max: None });
    admin.set_quota(pb::SetQuotaRequest { address: address(), quota }).await.unwrap();
    let usage = world.meta.usage(&ana, ReadAt::Linearizable).await.unwrap().value;
    assert_eq!(usage.quota.bytes_max, Some(1 << 20));

    let alias = pb::AddAliasRequest { address: address(), alias: "Postmaster@Example.com".into() };
    let account = admin.add_alias(alias).await.unwrap().into_inner();
    assert_eq!(account.aliases, ["postmaster@example.com"]);
    assert_eq!(world.resolve("postmaster@example.com").await, ana);
    let account = admin.get_account(get("postmaster@example.com")).await.unwrap().into_inner();
    assert_eq!((account.address, account.quota), (address(), quota));
    let status =
        admin.delete_account(pb::DeleteAccountRequest { address: "postmaster@example.com".into() }).await;
    assert_eq!(code(&status.unwrap_err()), ErrorCode::Precondition);
    let status = admin.remove_alias(pb::RemoveAliasRequest { alias: address() }).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::Precondition);
    let alias = pb::RemoveAliasRequest { alias: "postmaster@example.com".into() };
    assert!(admin.remove_alias(alias).await.unwrap().into_inner().aliases.is_empty());
}

#[tokio::test]
async fn mailboxes_are_listed_with_their_counters() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 3).await;
    let request = pb::ListMailboxesRequest { address: "ana@example.com".into() };
    let mailboxes = world.admin().list_mailboxes(request).await.unwrap().into_inner().mailboxes;
    let inbox = mailboxes.iter().find(|mailbox| mailbox.name == "INBOX").unwrap();
    assert_eq!((inbox.messages, inbox.unseen, inbox.uid_next, inbox.subscribed), (3, 3, 4, true));
}

#[tokio::test]
async fn an_account_is_deleted_with_its_mail_and_its_address_is_free() {
    let world = World::new().await;
    let mut admin = world.admin();
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 5_000).await;
    let delete = || pb::DeleteAccountRequest { address: "ana@example.com".into() };
    admin.delete_account(delete()).await.unwrap();
    assert_eq!(code(&admin.delete_account(delete()).await.unwrap_err()), ErrorCode::NotFound);
    let all = (buzon_types::uid::Uid::MIN..=buzon_types::uid::Uid::MAX).into();
    assert!(world.shard.rows().await.unwrap().summaries(ana.shard, inbox, &all).await.unwrap().is_empty());
    admin.create_account(create("ana@example.com")).await.unwrap();
    let again = world.resolve("ana@example.com").await;
    assert!(again.account > ana.account, "ids are never used again");
}

#[tokio::test]
async fn a_half_made_account_is_finished_by_repeating() {
    let world = World::new().await;
    let mut admin = world.admin();
    let ana = world.account().await;
    let place = DirectoryCommand::PlaceAccount {
        tenant: ana.tenant,
        address: buzon_types::address::Address::new("bob@example.com").unwrap(),
        shard: ana.shard,
    };
    world.meta.propose(DIRECTORY, Command::Directory(place)).await.unwrap().1.unwrap();
    let half = admin.get_account(get("bob@example.com")).await.unwrap().into_inner();
    assert_eq!(half.status(), pb::AccountStatus::Creating);
    let password = pb::SetPasswordRequest { address: "bob@example.com".into(), password: None };
    assert_eq!(code(&admin.set_password(password).await.unwrap_err()), ErrorCode::Precondition);
    let made = admin.create_account(create("bob@example.com")).await.unwrap().into_inner();
    assert_eq!((made.id, made.status()), (half.id, pb::AccountStatus::Active));
    let status = admin.create_account(create("bob@example.com")).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::AlreadyExists);
    assert!(status.message().contains("bob@example.com"), "{status:?}");
}

#[tokio::test]
async fn bad_names_are_named() {
    let world = World::new().await;
    let mut admin = world.admin();
    world.account().await;
    let status = admin.create_account(create("nobody")).await.unwrap_err();
    assert!(status.message().contains("nobody"), "{status:?}");
    assert_eq!(code(&status), ErrorCode::Invalid);
    let status = admin.create_account(create("a@elsewhere.example")).await.unwrap_err();
    assert!(status.message().contains("elsewhere.example"), "{status:?}");
    assert_eq!(code(&status), ErrorCode::NotFound);
    assert_eq!(code(&admin.get_account(get("x@example.com")).await.unwrap_err()), ErrorCode::NotFound);
}

#[tokio::test]
async fn status_tells_the_groups() {
    let world = World::new().await;
    let status = world.admin().status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(
        status.groups.iter().map(|group| (group.id, group.leader)).collect::<Vec<_>>(),
        [(0, 1), (1, 1)]
    );
}
