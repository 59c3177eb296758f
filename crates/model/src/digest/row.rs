//! Rows in a digest. Each is taken apart whole, so that a new field cannot be forgotten: it is fed only when it is not
//! what it is in rows that were written before it.

use buzon_types::address::Address;
use buzon_types::body_ref::BodyRef;
use buzon_types::time::InternalDate;

use super::Feed;
use super::change::all;
use crate::row::{
    AccountCounters, AccountRow, AddressRow, Arrival, DirectoryCounters, DomainRow, MailboxCounters,
    MailboxRow, MessageRow, MoveRow, NodeRow, Place, PlacementRow, Quota, ShardRow, TenantLimits, TenantRow,
};

pub(super) fn account(feed: &mut Feed, row: &AccountRow) {
    let AccountRow {
        id,
        tenant,
        epoch,
        address: at,
        state,
        credential,
        credential_version,
        quota: Quota { bytes_max, messages_max },
        last_uid_validity,
        next_mailbox,
        created_at,
        counters,
        place: lives,
    } = row;
    feed.number(id.0).number(tenant.0).number(epoch.0);
    address(feed, at);
    let credential = credential.as_ref().map(|secret| secret.expose().as_str()).unwrap_or_default();
    feed.number(*state as u64).text(credential).number(credential_version.0);
    feed.optional(*bytes_max).optional(*messages_max);
    feed.number((*last_uid_validity).into()).number(next_mailbox.0.into()).signed(created_at.0);
    account_counters(feed, *counters);
    place(feed, lives);
}

pub(super) fn account_counters(feed: &mut Feed, counters: AccountCounters) {
    let AccountCounters { modseq, bytes, messages } = counters;
    feed.number(modseq.get()).number(bytes).number(messages);
}

fn place(feed: &mut Feed, place: &Place) {
    match place {
        Place::Here => _ = feed.number(0),
        Place::Frozen { to, epoch } => _ = feed.number(1).number(to.0).number(epoch.0),
        Place::Gone { to, epoch } => _ = feed.number(2).number(to.0).number(epoch.0),
        Place::Arriving(Arrival { from, epoch, pages, cursor, complete }) => {
            feed.number(3).number(from.0).number(epoch.0).number(*pages);
            feed.bytes(cursor).number((*complete).into());
        }
    }
}

pub(super) fn mailbox(feed: &mut Feed, row: &MailboxRow) {
    let MailboxRow {
        key,
        name,
        state,
        uid_validity,
        special_use,
        keywords,
        tombstone_floor,
        created_at,
        counters,
    } = row;
    feed.number(key.account.0).number(key.mailbox.0.into()).text(name.as_str()).number(*state as u64);
    feed.number(uid_validity.get().into()).optional(special_use.map(|it| it as u64));
    feed.number(keywords.len() as u64);
    for keyword in keywords {
        feed.text(keyword.as_str());
    }
    feed.number(tombstone_floor.get()).signed(created_at.0);
    mailbox_counters(feed, counters);
}

pub(super) fn mailbox_counters(feed: &mut Feed, counters: &MailboxCounters) {
    let MailboxCounters { uid_next, recent_from, modseq, messages, unseen, deleted, bytes } = counters;
    feed.optional(uid_next.map(|uid| uid.get().into())).optional(recent_from.map(|uid| uid.get().into()));
    feed.number(modseq.get()).number((*messages).into()).number((*unseen).into());
    feed.number((*deleted).into()).number(*bytes);
}

pub(super) fn message(feed: &mut Feed, row: &MessageRow) {
    let MessageRow { uid, flags, keywords, modseq, size, internal_date, saved_at, body } = row;
    let InternalDate { seconds, zone_minutes } = internal_date;
    let BodyRef { object, offset, length, encoding, key } = body;
    feed.number(uid.get().into()).number(flags.bits().into()).wide(keywords.0).number(modseq.get());
    feed.number(*size).signed(*seconds).signed((*zone_minutes).into()).signed(saved_at.0);
    feed.wide(object.0).number(*offset).number(*length).number(*encoding as u64).number(key.0.into());
}

pub(super) fn tenant(feed: &mut Feed, row: &TenantRow) {
    let TenantRow { id, name, limits: TenantLimits { accounts_max }, accounts, domains, created_at } = row;
    feed.number(id.0).text(name).optional(*accounts_max);
    feed.number(*accounts).number(*domains).signed(created_at.0);
}

pub(super) fn domain(feed: &mut Feed, row: &DomainRow) {
    let DomainRow { domain, tenant, addresses } = row;
    feed.text(domain.as_str()).number(tenant.0).number(*addresses);
}

pub(super) fn placement(feed: &mut Feed, row: &PlacementRow) {
    let PlacementRow { account, tenant, address: at, shard, epoch, state, created_at } = row;
    feed.number(account.0).number(tenant.0);
    address(feed, at);
    feed.number(shard.0).number(epoch.0).number(*state as u64).signed(created_at.0);
}

pub(super) fn address_row(feed: &mut Feed, row: &AddressRow) {
    let AddressRow { address: at, account } = row;
    address(feed, at);
    feed.number(account.0);
}

pub(super) fn address(feed: &mut Feed, address: &Address) {
    feed.text(address.local()).text(address.domain().as_str());
}

pub(super) fn node(feed: &mut Feed, row: &NodeRow) {
    let NodeRow { id, address, zone, state, incarnation, added_at } = row;
    feed.number(id.0).text(address.as_str());
    feed.text(zone.as_ref().map(buzon_types::node::Zone::as_str).unwrap_or_default());
    feed.number(*state as u64).wide(incarnation.0).signed(added_at.0);
}

pub(super) fn shard(feed: &mut Feed, row: &ShardRow) {
    let ShardRow { group, voters, accounts } = row;
    all(feed.number(group.0), voters.iter().map(|node| node.0));
    feed.number(*accounts);
}

pub(super) fn pending_move(feed: &mut Feed, row: &MoveRow) {
    let MoveRow { account, from, to, epoch, state, began_at } = row;
    feed.number(account.0).number(from.0).number(to.0).number(epoch.0);
    feed.number(*state as u64).signed(began_at.0);
}

pub(super) fn directory_counters(feed: &mut Feed, counters: DirectoryCounters) {
    let DirectoryCounters { next_tenant, next_account, next_node, next_group, voters_per_shard } = counters;
    feed.number(next_tenant.0).number(next_account.0).number(next_node.0).number(next_group.0);
    feed.number(voters_per_shard.into());
}
