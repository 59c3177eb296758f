//! One value of each kind, with every field set.

use buzon_model::command::*;
use buzon_model::read::MessageRead;
use buzon_model::reply::*;
use buzon_model::row::*;
use buzon_types::address::{Address, Domain};
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::*;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

const ACCOUNT: AccountId = AccountId(1007);
const KEY: MailboxKey = MailboxKey { account: ACCOUNT, mailbox: MailboxId(3) };
const ID: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;

fn uids() -> UidSet {
    [1, 2, 3, 7, 4_294_967_295].into_iter().map(|uid| Uid::new(uid).unwrap()).collect()
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn address() -> Address {
    Address::new("\"a\\\"b\"@bücher.example").unwrap()
}

fn body() -> BodyRef {
    BodyRef { object: ObjectId(ID), offset: 4096, length: 7000, encoding: Encoding::Plain, key: KeyId(5) }
}

fn new_message() -> NewMessage {
    NewMessage {
        flags: SystemFlags::SEEN | SystemFlags::DRAFT,
        keywords: vec![Keyword::new("$Forwarded").unwrap()],
        internal_date: InternalDate { seconds: 1_700_000_000, zone_minutes: -330 },
        size: 7000,
        body: body(),
        summary: Bytes::from_static(b"\0summary"),
    }
}

fn transfer() -> Transfer {
    Transfer { source: KEY, uids: uids(), target: MailboxId(9) }
}

fn entry(command: Command) -> Entry {
    let request = RequestId { instance: InstanceId(ID), sequence: 42, acknowledged_below: 40 };
    Entry { at: Timestamp(1_700_000_000_123), request: Some(request), command }
}

/// Each kind of command with the name of its file.
pub(crate) fn entries() -> Vec<(&'static str, Entry)> {
    let instance = InstanceId(ID);
    let mut entries = vec![
        ("open_instance", entry(Command::OpenInstance(instance))),
        ("close_instance", entry(Command::CloseInstance(instance))),
        ("raise_feature_level", entry(Command::RaiseFeatureLevel(FeatureLevel(2)))),
    ];
    entries.extend(directory().into_iter().map(|(kind, command)| (kind, entry(Command::Directory(command)))));
    entries.extend(cluster().into_iter().map(|(kind, command)| (kind, entry(Command::Cluster(command)))));
    entries.extend(accounts().into_iter().map(|(kind, command)| (kind, entry(Command::Shard(command)))));
    entries.extend(
        relocations().into_iter().map(|(kind, it)| (kind, entry(Command::Shard(ShardCommand::Relocate(it))))),
    );
    entries.extend(messages().into_iter().map(|(kind, command)| (kind, entry(Command::Shard(command)))));
    entries
}

fn directory() -> Vec<(&'static str, DirectoryCommand)> {
    use DirectoryCommand as C;
    let tenant = TenantId(12);
    let limits = TenantLimits { accounts_max: Some(500) };
    let domain = Domain::new("bücher.example").unwrap();
    vec![
        ("create_tenant", C::CreateTenant { name: "acme".into(), limits }),
        ("set_tenant_limits", C::SetTenantLimits { tenant, limits }),
        ("delete_tenant", C::DeleteTenant(tenant)),
        ("add_domain", C::AddDomain { tenant, domain: domain.clone() }),
        ("remove_domain", C::RemoveDomain { tenant, domain }),
        ("place_account", C::PlaceAccount { tenant, address: address(), shard: GroupId(1) }),
        ("activate_account", C::ActivateAccount(ACCOUNT)),
        ("begin_delete_account", C::BeginDeleteAccount(ACCOUNT)),
        ("finish_delete_account", C::FinishDeleteAccount(ACCOUNT)),
        ("add_alias", C::AddAlias { address: address(), account: ACCOUNT }),
        ("remove_alias", C::RemoveAlias { address: address() }),
        ("begin_move", C::BeginMove { account: ACCOUNT, to: GroupId(3) }),
        ("commit_move", C::CommitMove(step())),
        ("abort_move", C::AbortMove(step())),
        ("finish_move", C::FinishMove(step())),
    ]
}

fn cluster() -> Vec<(&'static str, ClusterCommand)> {
    use ClusterCommand as C;
    let address = |text: &str| NodeAddress::new(text).unwrap();
    let zone = Some(Zone::new("eu-1.a").unwrap());
    let voters = vec![NodeId(1), NodeId(2), NodeId(70_000)];
    let founding = |id, text: &str| FoundingNode {
        id: NodeId(id),
        address: address(text),
        zone: zone.clone(),
        incarnation: Incarnation(ID + u128::from(id)),
    };
    let found = FoundCluster {
        nodes: vec![founding(1, "metad-0.metad:7071"), founding(2, "[2001:db8::1]:7071")],
        voters_per_shard: 3,
        shards: vec![FoundingShard { group: GroupId(1), voters: voters.clone() }],
    };
    let add = AddNode {
        address: address("10.0.0.7:1"),
        zone,
        incarnation: Incarnation(ID),
        replaces: Some(NodeId(2)),
    };
    let shards = vec![
        NewShard { group: Some(GroupId(9)), voters: voters.clone() },
        NewShard { group: None, voters: voters.clone() },
    ];
    vec![
        ("found_cluster", C::FoundCluster(found)),
        ("add_node", C::AddNode(add)),
        ("set_node_state", C::SetNodeState { node: NodeId(2), state: NodeState::Draining }),
        ("set_node_address", C::SetNodeAddress { node: NodeId(2), address: address("b:7071") }),
        ("add_shards", C::AddShards(shards)),
        ("set_shard_voters", C::SetShardVoters { group: GroupId(9), voters, expected: vec![NodeId(1)] }),
        ("set_voters_per_shard", C::SetVotersPerShard(5)),
    ]
}

fn accounts() -> Vec<(&'static str, ShardCommand)> {
    use ShardCommand as C;
    let account = ACCOUNT;
    let credential = Some(Secret::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()));
    let quota = Quota { bytes_max: Some(1 << 30), messages_max: None };
    let uid_validity_seed = 1_700_000_000;
    let create = CreateAccount {
        account,
        tenant: TenantId(12),
        epoch: Epoch(1),
        address: address(),
        credential: credential.clone(),
        quota,
        uid_validity_seed,
    };
    vec![
        ("create_account", C::CreateAccount(create)),
        ("delete_account", C::DeleteAccount(account)),
        ("purge_account", C::PurgeAccount(account)),
        ("set_credential", C::SetCredential { account, credential }),
        ("set_account_state", C::SetAccountState { account, state: AccountState::Suspended }),
        ("set_quota", C::SetQuota { account, quota }),
        (
            "create_mailbox",
            C::CreateMailbox {
                account,
                name: name("Größe/日本"),
                special_use: Some(SpecialUse::Archive),
                uid_validity_seed,
            },
        ),
        ("delete_mailbox", C::DeleteMailbox { account, name: name("a/b") }),
        ("purge_mailbox", C::PurgeMailbox(KEY)),
        (
            "rename_mailbox",
            C::RenameMailbox { account, from: name("INBOX"), to: name("old"), uid_validity_seed },
        ),
        ("subscribe", C::Subscribe { account, name: name("a") }),
        ("unsubscribe", C::Unsubscribe { account, name: name("a") }),
    ]
}

fn step() -> Step {
    Step { account: ACCOUNT, epoch: Epoch(70_000) }
}

fn message_row() -> MessageRow {
    MessageRow {
        uid: Uid::MAX,
        flags: SystemFlags::SEEN,
        keywords: KeywordBits(1 << 127 | 1),
        modseq: ModSeq::new(77).unwrap(),
        size: 7000,
        internal_date: InternalDate { seconds: 1_700_000_000, zone_minutes: -330 },
        saved_at: Timestamp(1_700_000_000_123),
        body: body(),
    }
}

/// Of one kind each: a page with all there is.
fn arriving_rows() -> ArrivingRows {
    let counters = MailboxCounters {
        uid_next: None,
        recent_from: Some(Uid::MIN),
        modseq: ModSeq::new(77).unwrap(),
        messages: 1,
        unseen: 2,
        deleted: 3,
        bytes: 1 << 40,
    };
    let mailbox = MailboxRow {
        key: KEY,
        name: name("a/b"),
        state: MailboxState::Deleting,
        uid_validity: UidValidity::new(1_700_000_000).unwrap(),
        special_use: Some(SpecialUse::Trash),
        keywords: vec![Keyword::new("$Junk").unwrap()],
        tombstone_floor: ModSeq::new(5).unwrap(),
        created_at: Timestamp(1_700_000_000_123),
        counters,
    };
    let account = AccountRow {
        id: ACCOUNT,
        tenant: TenantId(12),
        epoch: Epoch(0),
        address: address(),
        state: AccountState::Suspended,
        credential: Some(Secret::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned())),
        credential_version: CredentialVersion(4),
        quota: Quota { bytes_max: Some(1 << 30), messages_max: None },
        last_uid_validity: 1_700_000_009,
        next_mailbox: MailboxId(12),
        created_at: Timestamp(1_700_000_000_000),
        counters: AccountCounters { modseq: ModSeq::new(99).unwrap(), bytes: 5, messages: 6 },
        place: Place::Here,
    };
    let (mailbox_id, row, summary) = (MailboxId(3), message_row(), Bytes::from_static(b"\0summary"));
    let tombstone = Tombstone { message: row, expunged_at: Timestamp(1_700_000_000_999) };
    ArrivingRows {
        mailboxes: vec![mailbox],
        messages: vec![ArrivingMessage { mailbox: mailbox_id, row, summary: summary.clone() }],
        tombstones: vec![ArrivingTombstone { mailbox: mailbox_id, row: tombstone, summary }],
        subscriptions: vec![name("a")],
        records: vec![ArrivingRecord {
            instance: InstanceId(ID),
            opened_at: Timestamp(1_700_000_000_000),
            forgotten_below: 3,
            sequence: 9,
            accounts: vec![ACCOUNT, AccountId(2000)],
            outcome: Err(Rejection::OverQuota(QuotaKind::Bytes)),
        }],
        account: Some(account),
    }
}

fn relocations() -> Vec<(&'static str, Relocation)> {
    let begin = BeginArrive { step: step(), from: GroupId(2), tenant: TenantId(12), address: address() };
    let cursor = Bytes::from_static(b"cursor");
    let page = ArrivePage { step: step(), number: 300, cursor, rows: arriving_rows() };
    vec![
        ("begin_arrive", Relocation::BeginArrive(begin)),
        ("arrive_page", Relocation::ArrivePage(Box::new(page))),
        ("freeze_account", Relocation::Freeze(Leaving { step: step(), to: GroupId(3) })),
        ("activate_arrived", Relocation::Activate(step())),
        ("finish_leave", Relocation::FinishLeave(step())),
        ("abort_leave", Relocation::AbortLeave(step())),
        ("drop_arriving", Relocation::DropArriving(step())),
    ]
}

fn messages() -> Vec<(&'static str, ShardCommand)> {
    use ShardCommand as C;
    let store = StoreFlags {
        mailbox: KEY,
        uids: uids(),
        mode: StoreMode::Add,
        flags: SystemFlags::FLAGGED,
        keywords: vec![Keyword::new("$Junk").unwrap()],
        unchanged_since: Some(ModSeq::new(12_345).unwrap()),
    };
    let recipients = vec![
        Recipient { account: ACCOUNT, mailbox: None },
        Recipient { account: AccountId(8), mailbox: Some(name("lists")) },
    ];
    vec![
        ("append", C::Append { mailbox: KEY, messages: vec![new_message(), new_message()] }),
        ("deliver", C::Deliver { recipients, message: new_message() }),
        ("store_flags", C::StoreFlags(store)),
        ("expunge", C::Expunge { mailbox: KEY, uids: uids() }),
        ("copy", C::Copy(transfer())),
        ("move", C::Move(transfer())),
        ("stage_copy", C::StageCopy { staging: ID, transfer: transfer() }),
        ("publish_copy", C::PublishCopy { account: ACCOUNT, staging: ID, messages: 5000 }),
        ("drop_copy", C::DropCopy { account: ACCOUNT, staging: ID }),
        ("claim_recent", C::ClaimRecent(KEY)),
    ]
}

/// Outcomes of which many are kept in records.
pub(crate) fn outcomes() -> Vec<(&'static str, Outcome)> {
    let advance = Advance { before: ModSeq::new(7).unwrap(), after: ModSeq::new(9).unwrap() };
    let uid_validity = UidValidity::new(1_700_000_000).unwrap();
    let delivery = Delivery { mailbox: MailboxId(1), uid_validity, uid: Uid::MIN };
    let flags = FlagState {
        uid: Uid::MIN,
        flags: SystemFlags::SEEN,
        keywords: KeywordBits(1 << 127 | 1),
        modseq: advance.after,
    };
    let delivered = vec![Ok(delivery), Err(Rejection::OverQuota(QuotaKind::Messages))];
    let stored = Reply::Stored {
        messages: vec![flags],
        modified: uids(),
        keywords: vec![Keyword::new("$Junk").unwrap()],
        advance,
    };
    vec![
        ("outcome_delivered", Ok(Reply::Delivered(delivered))),
        ("outcome_stored", Ok(stored)),
        ("outcome_appended", Ok(Reply::Appended { uid_validity, uids: uids(), advance })),
        ("outcome_moved", Ok(Reply::Moved { uid_validity, source: uids(), target: uids(), advance })),
        ("outcome_node_added", Ok(Reply::NodeAdded(NodeId(7)))),
        ("outcome_shards_added", Ok(Reply::ShardsAdded(vec![GroupId(7), GroupId(300)]))),
        ("outcome_move_begun", Ok(Reply::MoveBegun { from: GroupId(2), epoch: Epoch(3) })),
        (
            "outcome_arriving",
            Ok(Reply::Arriving { pages: 300, cursor: Bytes::from_static(b"cursor"), complete: true }),
        ),
        ("outcome_account_moved", Err(Rejection::Moved { shard: GroupId(3), epoch: Epoch(70_000) })),
        ("outcome_rejected", Err(Rejection::MailboxExists(name("a/b")))),
    ]
}

/// Rejections that carry nothing, and those with a quota.
pub(crate) fn plain_rejections() -> Vec<Rejection> {
    use Rejection as R;
    vec![
        R::NoSuchAccount,
        R::NoSuchMailbox,
        R::Inbox,
        R::IntoItself,
        R::NameTooLong,
        R::TooManyMailboxes,
        R::TooManyKeywords,
        R::OverQuota(QuotaKind::Bytes),
        R::OverQuota(QuotaKind::Messages),
        R::UidsExhausted,
        R::TooManyMessages,
        R::NoSuchStaging,
        R::StagingMismatch,
        R::InstanceUnknown,
        R::RequestForgotten,
        R::TooManyRequests,
        R::NotHere,
        R::NoSuchTenant,
        R::NoSuchDomain,
        R::NoSuchAddress,
        R::PrimaryAddress,
        R::NotEmpty,
        R::TenantFull,
        R::ClusterNotFounded,
        R::ClusterExists,
        R::BadVoters,
        R::ClusterFull,
        R::Frozen,
        R::MoveOver,
        R::TooManyMoves,
    ]
}

/// A message of usual size late in the life of a busy account.
pub(crate) fn message_read() -> MessageRead {
    let row = MessageRow {
        uid: Uid::new(100_000).unwrap(),
        flags: SystemFlags::SEEN,
        keywords: KeywordBits(3),
        modseq: ModSeq::new(5_000_000).unwrap(),
        size: 40_000,
        internal_date: InternalDate { seconds: 1_700_000_000, zone_minutes: 60 },
        saved_at: Timestamp(1_700_000_000_123),
        body: body(),
    };
    MessageRead { row, expunged: false, summary: None }
}
