//! Changes in a digest. The numbers are for ever: a new change gets the next one.

use buzon_types::id::MailboxKey;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::{Feed, row};
use crate::change::{Change, SummarySource};
use crate::command::{ArrivingMessage, ArrivingTombstone};
use crate::reply::Outcome;
use crate::row::StagedRow;

/// Everything that a change says, but for what it takes over from its entry as it is: summaries, which are the bulk of
/// it, count by their length.
#[rustfmt::skip] // one line a change
pub(super) fn feed(feed: &mut Feed, change: &Change, encode: &dyn Fn(&Outcome) -> Bytes) {
    match change {
        Change::PutAccount(account) => row::account(feed.number(1), account),
        Change::SetAccountCounters(account, counters) => {
            row::account_counters(feed.number(2).number(account.0), *counters);
        }
        Change::RemoveAccount(account) => _ = feed.number(3).number(account.0),
        Change::PutMailbox(mailbox) => row::mailbox(feed.number(4), mailbox),
        Change::SetMailboxCounters(mailbox, counters) => {
            row::mailbox_counters(key(feed.number(5), *mailbox), counters);
        }
        Change::RemoveMailbox(mailbox) => _ = key(feed.number(6), *mailbox),
        Change::Subscribe(account, name) => _ = feed.number(7).number(account.0).text(name.as_str()),
        Change::Unsubscribe(account, name) => _ = feed.number(8).number(account.0).text(name.as_str()),
        Change::AddMessage { mailbox, row, summary } => {
            row::message(key(feed.number(9), *mailbox), row);
            summarised(feed, summary);
        }
        Change::SetFlags { mailbox, uid, flags, keywords, modseq } => {
            key(feed.number(10), *mailbox).number(uid.get().into());
            feed.number(flags.bits().into()).wide(keywords.0).number(modseq.get());
        }
        Change::Expunge { mailbox, uids, modseq, at } => {
            set(key(feed.number(11), *mailbox), uids).number(modseq.get()).signed(at.0);
        }
        Change::RemoveMessages { mailbox, uids } => _ = set(key(feed.number(12), *mailbox), uids),
        Change::Arrive { mailbox, messages, tombstones } => {
            arrived(key(feed.number(13), *mailbox), messages, tombstones);
        }
        Change::Stage { account, staging, target, rows } => {
            staged(feed.number(14).number(account.0).wide(*staging).number(target.0.into()), rows);
        }
        Change::Publish { account, staging, target, first, messages, modseq, saved_at } => {
            key(feed.number(15).number(account.0).wide(*staging), *target).number(first.get().into());
            feed.number((*messages).into()).number(modseq.get()).signed(saved_at.0);
        }
        Change::DropStaged { account, staging } => _ = feed.number(16).number(account.0).wide(*staging),
        Change::OpenInstance(instance, at) => _ = feed.number(17).wide(instance.0).signed(at.0),
        Change::CloseInstance(instance) => _ = feed.number(18).wide(instance.0),
        Change::Record { instance, sequence, accounts, outcome } => {
            all(feed.number(19).wide(instance.0).number(*sequence), accounts.iter().map(|it| it.0));
            feed.bytes(&encode(outcome));
        }
        Change::ForgetBelow { instance, sequence } => _ = feed.number(20).wide(instance.0).number(*sequence),
        Change::SetFeatureLevel(level) => _ = feed.number(21).number(level.0.into()),
        Change::SetTime(at) => _ = feed.number(22).signed(at.0),
        Change::PutTenant(tenant) => row::tenant(feed.number(23), tenant),
        Change::RemoveTenant(tenant) => _ = feed.number(24).number(tenant.0),
        Change::PutDomain(domain) => row::domain(feed.number(25), domain),
        Change::RemoveDomain(domain) => _ = feed.number(26).text(domain.as_str()),
        Change::PutPlacement(placement) => row::placement(feed.number(27), placement),
        Change::RemovePlacement(account) => _ = feed.number(28).number(account.0),
        Change::PutAddress(address) => row::address_row(feed.number(29), address),
        Change::RemoveAddress(address) => row::address(feed.number(30), address),
        Change::PutNode(node) => row::node(feed.number(31), node),
        Change::PutShard(shard) => row::shard(feed.number(32), shard),
        Change::PutMove(pending) => row::pending_move(feed.number(33), pending),
        Change::RemoveMove(account) => _ = feed.number(34).number(account.0),
        Change::SetDirectoryCounters(counters) => row::directory_counters(feed.number(35), *counters),
    }
}

fn summarised(feed: &mut Feed, summary: &SummarySource) {
    match summary {
        SummarySource::Given(bytes) => feed.number(0).number(bytes.len() as u64),
        SummarySource::SameAs(mailbox, uid) => {
            feed.number(1).number(mailbox.0.into()).number(uid.get().into())
        }
    };
}

fn arrived(feed: &mut Feed, messages: &[ArrivingMessage], tombstones: &[ArrivingTombstone]) {
    feed.number(messages.len() as u64);
    for message in messages {
        row::message(feed.number(message.mailbox.0.into()), &message.row);
        feed.number(message.summary.len() as u64);
    }
    feed.number(tombstones.len() as u64);
    for tombstone in tombstones {
        row::message(feed.number(tombstone.mailbox.0.into()), &tombstone.row.message);
        feed.signed(tombstone.row.expunged_at.0).number(tombstone.summary.len() as u64);
    }
}

fn staged(feed: &mut Feed, rows: &[StagedRow]) {
    feed.number(rows.len() as u64);
    for StagedRow { ordinal, source: (mailbox, uid), message } in rows {
        feed.number((*ordinal).into()).number(mailbox.0.into()).number(uid.get().into());
        row::message(feed, message);
    }
}

fn key(feed: &mut Feed, key: MailboxKey) -> &mut Feed {
    feed.number(key.account.0).number(key.mailbox.0.into())
}

fn set<'feed>(feed: &'feed mut Feed, uids: &UidSet) -> &'feed mut Feed {
    feed.number(uids.run_count() as u64);
    for (first, last) in uids.runs() {
        feed.number(first.get().into()).number(last.get().into());
    }
    feed
}

/// Numbers, and how many.
pub(super) fn all(feed: &mut Feed, numbers: impl ExactSizeIterator<Item = u64>) {
    feed.number(numbers.len() as u64);
    for number in numbers {
        feed.number(number);
    }
}
