//! Random values of everything that crosses the wire.

use buzon_model::command::*;
use buzon_model::read::*;
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
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn uid() -> impl Strategy<Value = Uid> {
    prop_oneof![1u32..50, 1u32..=u32::MAX, Just(u32::MAX)].prop_map(|value| Uid::new(value).unwrap())
}

fn uid_validity() -> impl Strategy<Value = UidValidity> {
    (1u32..).prop_map(|value| UidValidity::new(value).unwrap())
}

fn modseq() -> impl Strategy<Value = ModSeq> {
    prop_oneof![0u64..1000, Just(ModSeq::MAX.get())].prop_map(|value| ModSeq::new(value).unwrap())
}

pub(crate) fn uid_set() -> impl Strategy<Value = UidSet> {
    vec((uid(), 0u32..9), 0..12).prop_map(|runs| {
        UidSet::from_runs(
            runs.into_iter()
                .map(|(first, more)| (first, Uid::new(first.get().saturating_add(more)).unwrap())),
        )
    })
}

fn flags() -> impl Strategy<Value = SystemFlags> {
    (0u8..32).prop_map(|bits| SystemFlags::from_bits(bits).unwrap())
}

fn keywords() -> impl Strategy<Value = Vec<Keyword>> {
    vec("[a-zA-Z$][a-z0-9]{0,9}".prop_map(|text| Keyword::new(&text).unwrap()), 0..4)
}

fn name() -> impl Strategy<Value = MailboxName> {
    "[a-zA-Zäß日]{1,6}(/[ -$a-z]{1,5}){0,3}".prop_map(|text| MailboxName::new(&text).unwrap())
}

fn domain() -> impl Strategy<Value = Domain> {
    "[a-zü]{1,8}(\\.[a-z]{2,5}){1,2}".prop_map(|text| Domain::new(&text).unwrap())
}

fn address() -> impl Strategy<Value = Address> {
    let local = prop_oneof!["[a-z.+]{1,9}", "[a-z\"\\\\]{1,9}"];
    (local, domain()).prop_map(|(local, domain)| {
        let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
        Address::new(&format!("\"{escaped}\"@{domain}")).unwrap()
    })
}

fn account() -> impl Strategy<Value = AccountId> {
    any::<u64>().prop_map(AccountId)
}

fn key() -> impl Strategy<Value = MailboxKey> {
    (account(), any::<u32>()).prop_map(|(account, id)| MailboxKey { account, mailbox: MailboxId(id) })
}

fn secret() -> impl Strategy<Value = Option<Secret<String>>> {
    option::of("[a-z$,=]{0,20}".prop_map(Secret::new))
}

fn quota() -> impl Strategy<Value = Quota> {
    (option::of(any::<u64>()), option::of(any::<u64>()))
        .prop_map(|(bytes_max, messages_max)| Quota { bytes_max, messages_max })
}

fn limits() -> impl Strategy<Value = TenantLimits> {
    option::of(any::<u64>()).prop_map(|accounts_max| TenantLimits { accounts_max })
}

fn internal_date() -> impl Strategy<Value = InternalDate> {
    (any::<i64>(), any::<i16>()).prop_map(|(seconds, zone_minutes)| InternalDate { seconds, zone_minutes })
}

fn body() -> impl Strategy<Value = BodyRef> {
    (any::<u128>(), any::<u64>(), any::<u64>(), any::<u32>()).prop_map(|(object, offset, length, key)| {
        BodyRef { object: ObjectId(object), offset, length, encoding: Encoding::Plain, key: KeyId(key) }
    })
}

fn summary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn new_message() -> impl Strategy<Value = NewMessage> {
    (flags(), keywords(), internal_date(), any::<u64>(), body(), summary()).prop_map(
        |(flags, keywords, internal_date, size, body, summary)| NewMessage {
            flags,
            keywords,
            internal_date,
            size,
            body,
            summary,
        },
    )
}

fn transfer() -> impl Strategy<Value = Transfer> {
    (key(), uid_set(), any::<u32>()).prop_map(|(source, uids, target)| Transfer {
        source,
        uids,
        target: MailboxId(target),
    })
}

fn special_use() -> impl Strategy<Value = SpecialUse> {
    proptest::sample::select(SpecialUse::ALL.to_vec())
}

fn account_state() -> impl Strategy<Value = AccountState> {
    (1u8..=3).prop_map(|number| AccountState::from_number(number).unwrap())
}

fn store_flags() -> impl Strategy<Value = StoreFlags> {
    let mode = prop_oneof![Just(StoreMode::Replace), Just(StoreMode::Add), Just(StoreMode::Remove)];
    (key(), uid_set(), mode, flags(), keywords(), option::of(modseq())).prop_map(
        |(mailbox, uids, mode, flags, keywords, unchanged_since)| StoreFlags {
            mailbox,
            uids,
            mode,
            flags,
            keywords,
            unchanged_since,
        },
    )
}

fn create_account() -> impl Strategy<Value = CreateAccount> {
    (account(), any::<u64>(), any::<u64>(), address(), secret(), quota(), any::<u32>()).prop_map(
        |(account, tenant, epoch, address, credential, quota, uid_validity_seed)| CreateAccount {
            account,
            tenant: TenantId(tenant),
            epoch: Epoch(epoch),
            address,
            credential,
            quota,
            uid_validity_seed,
        },
    )
}

fn account_command() -> impl Strategy<Value = ShardCommand> {
    use ShardCommand as C;
    prop_oneof![
        create_account().prop_map(C::CreateAccount),
        account().prop_map(C::DeleteAccount),
        account().prop_map(C::PurgeAccount),
        (account(), secret()).prop_map(|(account, credential)| C::SetCredential { account, credential }),
        (account(), account_state()).prop_map(|(account, state)| C::SetAccountState { account, state }),
        (account(), quota()).prop_map(|(account, quota)| C::SetQuota { account, quota }),
        (account(), name(), option::of(special_use()), any::<u32>()).prop_map(
            |(account, name, special_use, uid_validity_seed)| C::CreateMailbox {
                account,
                name,
                special_use,
                uid_validity_seed
            }
        ),
        (account(), name()).prop_map(|(account, name)| C::DeleteMailbox { account, name }),
        key().prop_map(C::PurgeMailbox),
        (account(), name(), name(), any::<u32>()).prop_map(|(account, from, to, uid_validity_seed)| {
            C::RenameMailbox { account, from, to, uid_validity_seed }
        }),
        (account(), name()).prop_map(|(account, name)| C::Subscribe { account, name }),
        (account(), name()).prop_map(|(account, name)| C::Unsubscribe { account, name }),
    ]
}

fn message_command() -> impl Strategy<Value = ShardCommand> {
    use ShardCommand as C;
    let recipient =
        (account(), option::of(name())).prop_map(|(account, mailbox)| Recipient { account, mailbox });
    prop_oneof![
        (key(), vec(new_message(), 0..3)).prop_map(|(mailbox, messages)| C::Append { mailbox, messages }),
        (vec(recipient, 0..3), new_message())
            .prop_map(|(recipients, message)| C::Deliver { recipients, message }),
        store_flags().prop_map(C::StoreFlags),
        (key(), uid_set()).prop_map(|(mailbox, uids)| C::Expunge { mailbox, uids }),
        transfer().prop_map(C::Copy),
        transfer().prop_map(C::Move),
        (any::<u128>(), transfer()).prop_map(|(staging, transfer)| C::StageCopy { staging, transfer }),
        (account(), any::<u128>(), any::<u32>()).prop_map(|(account, staging, messages)| C::PublishCopy {
            account,
            staging,
            messages
        }),
        (account(), any::<u128>()).prop_map(|(account, staging)| C::DropCopy { account, staging }),
        key().prop_map(C::ClaimRecent),
    ]
}

fn directory_command() -> impl Strategy<Value = DirectoryCommand> {
    use DirectoryCommand as C;
    let tenant = || any::<u64>().prop_map(TenantId);
    prop_oneof![
        (".{0,9}", limits()).prop_map(|(name, limits)| C::CreateTenant { name, limits }),
        (tenant(), limits()).prop_map(|(tenant, limits)| C::SetTenantLimits { tenant, limits }),
        tenant().prop_map(C::DeleteTenant),
        (tenant(), domain()).prop_map(|(tenant, domain)| C::AddDomain { tenant, domain }),
        (tenant(), domain()).prop_map(|(tenant, domain)| C::RemoveDomain { tenant, domain }),
        (tenant(), address(), any::<u64>()).prop_map(|(tenant, address, shard)| C::PlaceAccount {
            tenant,
            address,
            shard: GroupId(shard)
        }),
        account().prop_map(C::ActivateAccount),
        account().prop_map(C::BeginDeleteAccount),
        account().prop_map(C::FinishDeleteAccount),
        (address(), account()).prop_map(|(address, account)| C::AddAlias { address, account }),
        address().prop_map(|address| C::RemoveAlias { address }),
        (account(), group()).prop_map(|(account, to)| C::BeginMove { account, to }),
        (account(), any::<u64>())
            .prop_map(|(account, epoch)| C::CommitMove(Step { account, epoch: Epoch(epoch) })),
    ]
}

fn node() -> impl Strategy<Value = NodeId> {
    (1u64..).prop_map(NodeId)
}

fn node_address() -> impl Strategy<Value = NodeAddress> {
    let host = prop_oneof![
        "[a-z0-9]{1,9}(\\.[a-z]{1,5}){0,2}",
        Just("[::1]".to_owned()),
        Just("10.0.0.1".to_owned())
    ];
    (host, 1u16..).prop_map(|(host, port)| NodeAddress::new(&format!("{host}:{port}")).unwrap())
}

fn zone() -> impl Strategy<Value = Option<Zone>> {
    option::of("[a-zA-Z0-9._-]{1,20}".prop_map(|text| Zone::new(&text).unwrap()))
}

fn node_state() -> impl Strategy<Value = NodeState> {
    (1u8..=3).prop_map(|number| NodeState::from_number(number).unwrap())
}

fn group() -> impl Strategy<Value = GroupId> {
    (1u64..).prop_map(GroupId)
}

fn founding_node() -> impl Strategy<Value = FoundingNode> {
    (node(), node_address(), zone(), any::<u128>()).prop_map(|(id, address, zone, incarnation)| {
        FoundingNode { id, address, zone, incarnation: Incarnation(incarnation) }
    })
}

fn cluster_command() -> impl Strategy<Value = ClusterCommand> {
    use ClusterCommand as C;
    let voters = || vec(node(), 0..6);
    let founding = (group(), voters()).prop_map(|(group, voters)| FoundingShard { group, voters });
    let new = (option::of(group()), voters()).prop_map(|(group, voters)| NewShard { group, voters });
    prop_oneof![
        (vec(founding_node(), 0..4), any::<u8>(), vec(founding, 0..4)).prop_map(
            |(nodes, voters_per_shard, shards)| C::FoundCluster(FoundCluster {
                nodes,
                voters_per_shard,
                shards
            })
        ),
        (node_address(), zone(), any::<u128>(), option::of(node())).prop_map(
            |(address, zone, incarnation, replaces)| C::AddNode(AddNode {
                address,
                zone,
                incarnation: Incarnation(incarnation),
                replaces
            })
        ),
        (node(), node_state()).prop_map(|(node, state)| C::SetNodeState { node, state }),
        (node(), node_address()).prop_map(|(node, address)| C::SetNodeAddress { node, address }),
        vec(new, 0..4).prop_map(C::AddShards),
        (group(), voters(), voters()).prop_map(|(group, voters, expected)| C::SetShardVoters {
            group,
            voters,
            expected
        }),
        any::<u8>().prop_map(C::SetVotersPerShard),
    ]
}

pub(crate) fn topology() -> impl Strategy<Value = Topology> {
    let row = (founding_node(), node_state(), any::<i64>()).prop_map(|(it, state, at)| NodeRow {
        id: it.id,
        address: it.address,
        zone: it.zone,
        state,
        incarnation: it.incarnation,
        added_at: Timestamp(at),
    });
    let shard = (group(), vec(node(), 0..6), any::<u64>()).prop_map(|(group, voters, accounts)| ShardRow {
        group,
        voters,
        accounts,
    });
    (vec(row, 0..4), vec(shard, 0..4), any::<u8>(), group()).prop_map(
        |(nodes, shards, voters_per_shard, next_group)| Topology {
            nodes,
            shards,
            voters_per_shard,
            next_group,
        },
    )
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let command = prop_oneof![
        1 => any::<u128>().prop_map(|id| Command::OpenInstance(InstanceId(id))),
        1 => any::<u128>().prop_map(|id| Command::CloseInstance(InstanceId(id))),
        1 => any::<u32>().prop_map(|level| Command::RaiseFeatureLevel(FeatureLevel(level))),
        8 => directory_command().prop_map(Command::Directory),
        8 => cluster_command().prop_map(Command::Cluster),
        8 => account_command().prop_map(Command::Shard),
        8 => message_command().prop_map(Command::Shard),
    ];
    let request =
        (any::<u128>(), any::<u64>(), any::<u64>()).prop_map(|(instance, sequence, acknowledged_below)| {
            RequestId { instance: InstanceId(instance), sequence, acknowledged_below }
        });
    (any::<i64>(), option::of(request), command).prop_map(|(at, request, command)| Entry {
        at: Timestamp(at),
        request,
        command,
    })
}

fn advance() -> impl Strategy<Value = Advance> {
    (modseq(), modseq()).prop_map(|(before, after)| Advance { before, after })
}

pub(crate) fn flag_state() -> impl Strategy<Value = FlagState> {
    (uid(), flags(), any::<u128>(), modseq()).prop_map(|(uid, flags, keywords, modseq)| FlagState {
        uid,
        flags,
        keywords: KeywordBits(keywords),
        modseq,
    })
}

pub(crate) fn rejection() -> impl Strategy<Value = Rejection> {
    use Rejection as R;
    prop_oneof![
        proptest::sample::select(super::examples::plain_rejections()),
        (any::<u64>(), any::<u64>())
            .prop_map(|(shard, epoch)| R::Moved { shard: GroupId(shard), epoch: Epoch(epoch) }),
        group().prop_map(R::MovePending),
        name().prop_map(R::MailboxExists),
        name().prop_map(R::SpecialUseTaken),
        ".{0,9}".prop_map(R::TenantExists),
        domain().prop_map(R::DomainTaken),
        address().prop_map(R::AddressTaken),
        node().prop_map(R::NoSuchNode),
        node().prop_map(R::NodeRemoved),
        (node_address(), node()).prop_map(|(address, node)| R::NodeAddressTaken(address, node)),
        node().prop_map(R::NodeExists),
        (node(), group()).prop_map(|(node, group)| R::NodeInUse(node, group)),
        node().prop_map(R::LastActiveNode),
        any::<u64>().prop_map(|group| R::NoSuchShard(GroupId(group))),
        group().prop_map(R::ShardVotersChanged),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    use Reply as R;
    let delivery = (any::<u32>(), uid_validity(), uid()).prop_map(|(mailbox, uid_validity, uid)| Delivery {
        mailbox: MailboxId(mailbox),
        uid_validity,
        uid,
    });
    let delivery = prop_oneof![delivery.prop_map(Ok), rejection().prop_map(Err)];
    prop_oneof![
        Just(R::Done),
        any::<u64>().prop_map(|id| R::TenantCreated(TenantId(id))),
        (account(), any::<u64>(), any::<u64>()).prop_map(|(account, shard, epoch)| R::AccountPlaced {
            account,
            shard: GroupId(shard),
            epoch: Epoch(epoch)
        }),
        (any::<u32>(), uid_validity())
            .prop_map(|(id, uid_validity)| R::MailboxCreated { mailbox: MailboxId(id), uid_validity }),
        (uid_validity(), uid_set(), advance()).prop_map(|(uid_validity, uids, advance)| R::Appended {
            uid_validity,
            uids,
            advance
        }),
        vec(delivery, 0..4).prop_map(R::Delivered),
        (vec(flag_state(), 0..5), uid_set(), keywords(), advance()).prop_map(
            |(messages, modified, keywords, advance)| R::Stored { messages, modified, keywords, advance }
        ),
        (uid_set(), advance()).prop_map(|(uids, advance)| R::Expunged { uids, advance }),
        (uid_validity(), uid_set(), uid_set()).prop_map(|(uid_validity, source, target)| R::Copied {
            uid_validity,
            source,
            target
        }),
        (uid_validity(), uid_set(), uid_set(), advance()).prop_map(
            |(uid_validity, source, target, advance)| R::Moved { uid_validity, source, target, advance }
        ),
        any::<u32>().prop_map(|messages| R::Staged { messages }),
        (option::of(uid()), option::of(uid())).prop_map(|(from, below)| R::RecentClaimed { from, below }),
        any::<bool>().prop_map(|more| R::Purged { more }),
        node().prop_map(R::NodeAdded),
        vec(group(), 0..4).prop_map(R::ShardsAdded),
        (group(), any::<u64>()).prop_map(|(from, epoch)| R::MoveBegun { from, epoch: Epoch(epoch) }),
        (any::<u64>(), vec(any::<u8>(), 0..9), any::<bool>())
            .prop_map(|(pages, cursor, complete)| R::Arriving { pages, cursor: cursor.into(), complete }),
    ]
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![reply().prop_map(Ok), rejection().prop_map(Err)]
}

pub(crate) fn mailbox_row() -> impl Strategy<Value = MailboxRow> {
    let counters = (option::of(uid()), option::of(uid()), modseq(), any::<[u32; 3]>(), any::<u64>())
        .prop_map(|(uid_next, recent_from, modseq, [messages, unseen, deleted], bytes)| MailboxCounters {
            uid_next,
            recent_from,
            modseq,
            messages,
            unseen,
            deleted,
            bytes,
        });
    let state = prop_oneof![Just(MailboxState::Live), Just(MailboxState::Deleting)];
    let fixed = (key(), name(), state, uid_validity(), option::of(special_use()));
    (fixed, keywords(), modseq(), any::<i64>(), counters).prop_map(
        |((key, name, state, uid_validity, special_use), keywords, tombstone_floor, at, counters)| {
            MailboxRow {
                key,
                name,
                state,
                uid_validity,
                special_use,
                keywords,
                tombstone_floor,
                created_at: Timestamp(at),
                counters,
            }
        },
    )
}

pub(crate) fn message_read() -> impl Strategy<Value = MessageRead> {
    let row = (flag_state(), any::<u64>(), internal_date(), any::<i64>(), body()).prop_map(
        |(flags, size, internal_date, saved_at, body)| MessageRow {
            uid: flags.uid,
            flags: flags.flags,
            keywords: flags.keywords,
            modseq: flags.modseq,
            size,
            internal_date,
            saved_at: Timestamp(saved_at),
            body,
        },
    );
    (row, any::<bool>(), option::of(summary())).prop_map(|(row, expunged, summary)| MessageRead {
        row,
        expunged,
        summary,
    })
}

pub(crate) fn delta() -> impl Strategy<Value = MailboxDelta> {
    let sets = (uid_set(), option::of(uid_set()));
    let ends = (option::of(uid()), option::of(uid()));
    (modseq(), ends, keywords(), vec(flag_state(), 0..4), sets, option::of(name())).prop_map(
        |(modseq, (uid_next, recent_from), keywords, messages, (expunged, live), name)| MailboxDelta {
            modseq,
            uid_next,
            recent_from,
            keywords,
            messages,
            expunged,
            live,
            name,
        },
    )
}

pub(crate) fn event() -> impl Strategy<Value = AccountEvent> {
    let kind = prop_oneof![
        (any::<u32>(), modseq()).prop_map(|(id, modseq)| EventKind::Mailbox(MailboxId(id), modseq)),
        Just(EventKind::Tree),
        any::<u64>().prop_map(|version| EventKind::Credential(CredentialVersion(version))),
        Just(EventKind::Gap),
    ];
    (any::<u64>(), any::<u64>(), account(), kind).prop_map(|(group, index, account, kind)| AccountEvent {
        group: GroupId(group),
        index: LogIndex(index),
        account,
        kind,
    })
}

pub(crate) fn credential() -> impl Strategy<Value = CredentialRead> {
    (secret(), any::<u64>(), account_state()).prop_map(|(credential, version, state)| CredentialRead {
        credential,
        version: CredentialVersion(version),
        state,
    })
}

pub(crate) fn usage() -> impl Strategy<Value = UsageRead> {
    (modseq(), any::<u64>(), any::<u64>(), quota(), account_state()).prop_map(
        |(modseq, bytes, messages, quota, state)| UsageRead {
            counters: AccountCounters { modseq, bytes, messages },
            quota,
            state,
        },
    )
}

pub(crate) fn placement() -> impl Strategy<Value = PlacementRow> {
    let ids = (account(), any::<u64>(), any::<u64>(), any::<u64>());
    (ids, address(), 1u8..=3, any::<i64>()).prop_map(
        |((account, tenant, shard, epoch), address, state, at)| PlacementRow {
            account,
            tenant: TenantId(tenant),
            address,
            shard: GroupId(shard),
            epoch: Epoch(epoch),
            state: PlacementState::from_number(state).unwrap(),
            created_at: Timestamp(at),
        },
    )
}
