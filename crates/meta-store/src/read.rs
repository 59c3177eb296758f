//! Reads: the group's head and seed, what a [`Need`] asks for, cold rows and listings.

use std::ops::{ControlFlow, RangeInclusive};

use buzon_model::digest::StateDigest;
use buzon_model::limits::ENTRY_MESSAGES_MAX;
use buzon_model::scope::{AccountLoaded, Loaded, Need, Seed};
use buzon_types::id::{AccountId, FeatureLevel, GroupId, MailboxId, MailboxKey, NodeId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use buzon_model::row::{DirectoryCounters, MessageRow};
use buzon_types::id::TenantId;

use crate::cell::{Cells, Kind, Rows, Value, signed};
use crate::codec::{self, cluster, directory, mail};
use crate::database::{Decode, Session};
use crate::error::StoreError;
use crate::plan::put_runs;
use crate::statement::{Statement, names};
use crate::store::{Applied, GroupHead, OutcomeCodec};
use crate::table::{ACCOUNT, ADDRESS, DOMAIN, MAILBOX, MOVE, NODE, PLACEMENT, SHARD, TENANT, Table};

/// Runs of UIDs of one mailbox, as [`put_runs`] writes them.
const RUNS: &[(&str, Kind)] =
    &[("account", Kind::Int), ("mailbox", Kind::Int), ("first", Kind::Int), ("last", Kind::Int)];
const SUMMARIES: Statement = Statement::new(RUNS, &[], include_str!("../queries/message/summaries.sql"));
const TOMBSTONES: Statement = Statement::new(RUNS, &[], include_str!("../queries/message/tombstones.sql"));

/// For tests of how they run.
#[cfg(test)]
pub(crate) const BATCHES: [Statement; 2] = [SUMMARIES, TOMBSTONES];

/// The columns of a group's head, in the order that [`head_row`] reads.
const HEAD: &str = "SELECT group_id, applied, log_id, membership, part, time, feature_level, next_tenant, \
                    next_account, next_node, next_group, voters_per_shard, digest FROM group_head";

/// A group's head with all that is stored in it.
#[derive(Debug, Clone)]
pub(crate) struct StoredHead {
    pub(crate) head: GroupHead,
    pub(crate) part: i64,
    pub(crate) time: Timestamp,
    pub(crate) feature_level: FeatureLevel,
    pub(crate) counters: DirectoryCounters,
    pub(crate) digest: Option<StateDigest>,
}

/// All groups.
pub(crate) async fn heads(session: &mut impl Session) -> Result<Vec<StoredHead>, StoreError> {
    session.collect(&format!("{HEAD} ORDER BY group_id"), &[], head_row).await
}

/// One group.
pub(crate) async fn head(
    session: &mut impl Session,
    group: GroupId,
) -> Result<Option<StoredHead>, StoreError> {
    let sql = format!("{HEAD} WHERE group_id = $1");
    Ok(session.collect(&sql, &[group.0.into()], head_row).await?.pop())
}

/// One group that must be there.
pub(crate) async fn known_head(session: &mut impl Session, group: GroupId) -> Result<StoredHead, StoreError> {
    head(session, group).await?.ok_or(StoreError::NoRows { group: group.0 })
}

fn head_row(cells: &dyn Cells) -> Result<StoredHead, StoreError> {
    Ok(StoredHead {
        head: GroupHead {
            group: GroupId(codec::unsigned(cells, 0, "group_head.group_id")?),
            applied: Applied {
                index: codec::unsigned(cells, 1, "group_head.applied")?,
                log_id: Bytes::copy_from_slice(codec::bytes(cells, 2, "group_head.log_id")?),
            },
            membership: Bytes::copy_from_slice(codec::bytes(cells, 3, "group_head.membership")?),
        },
        part: codec::int(cells, 4, "group_head.part")?,
        time: codec::time(cells, 5, "group_head.time")?,
        feature_level: FeatureLevel(codec::narrow(cells, 6, "group_head.feature_level")?),
        counters: DirectoryCounters {
            next_tenant: TenantId(codec::unsigned(cells, 7, "group_head.next_tenant")?),
            next_account: AccountId(codec::unsigned(cells, 8, "group_head.next_account")?),
            next_node: NodeId(codec::unsigned(cells, 9, "group_head.next_node")?),
            next_group: GroupId(codec::unsigned(cells, 10, "group_head.next_group")?),
            voters_per_shard: codec::narrow(cells, 11, "group_head.voters_per_shard")?,
        },
        digest: match cells.bytes(12)? {
            Some(_) => Some(StateDigest(codec::wide(cells, 12, "group_head.digest")?)),
            None => None,
        },
    })
}

/// What the state in memory starts from.
pub(crate) async fn seed(
    session: &mut impl Session,
    group: GroupId,
    outcomes: &dyn OutcomeCodec,
) -> Result<Seed, StoreError> {
    let stored = known_head(session, group).await?;
    let part = [Value::from(stored.part)];
    let instances = "SELECT id, opened_at, forget_below FROM instance WHERE part = $1 ORDER BY id";
    let instances = session.collect(instances, &part, |cells| {
        let id = InstanceId(codec::wide(cells, 0, "instance.id")?);
        let opened_at = codec::time(cells, 1, "instance.opened_at")?;
        Ok((id, opened_at, codec::unsigned(cells, 2, "instance.forget_below")?))
    });
    let instances = instances.await?;
    let records = "SELECT instance, sequence, accounts, outcome FROM record WHERE part = $1 ORDER BY instance, sequence";
    let mut found = Vec::new();
    session
        .each(records, &part, &mut |cells| {
            let instance = InstanceId(codec::wide(cells, 0, "record.instance")?);
            let sequence = codec::unsigned(cells, 1, "record.sequence")?;
            let outcome = outcomes.decode(codec::bytes(cells, 3, "record.outcome")?);
            let outcome = outcome.ok_or_else(|| codec::corrupt("record.outcome"))?;
            found.push((instance, sequence, mail::accounts(cells, 2)?, outcome));
            Ok(ControlFlow::Continue(()))
        })
        .await?;
    let records = found;
    let nodes = by(session, &NODE, "true", stored.part, &[], cluster::node).await?;
    let shards = by(session, &SHARD, "true", stored.part, &[], cluster::shard).await?;
    let moves = by(session, &MOVE, "true", stored.part, &[], cluster::pending_move).await?;
    let StoredHead { time, feature_level, counters, digest, .. } = stored;
    Ok(Seed { time, feature_level, counters, digest, nodes, shards, moves, instances, records })
}

/// What a command or a reader needs.
pub(crate) async fn load(
    session: &mut impl Session,
    group: GroupId,
    need: &Need,
) -> Result<Loaded, StoreError> {
    let part = known_head(session, group).await?.part;
    Ok(match need {
        Need::Account(id) => Loaded::Account(*id, account(session, part, *id).await?.map(Box::new)),
        Need::Index(key) => {
            Loaded::Index(*key, messages(session, part, *key, (&(Uid::MIN..=Uid::MAX), 0)).await?)
        }
        Need::Staging(account, staging) => {
            Loaded::Staging(*account, *staging, staging_rows(session, part, *account, *staging).await?)
        }
        Need::Residue(key) => {
            let mut values = mailbox_values(part, *key);
            values.push(ENTRY_MESSAGES_MAX.into());
            let sql = include_str!("../queries/message/residue.sql");
            let uids = session.collect(sql, &values, |cells| codec::uid(cells, 0, "message.uid")).await?;
            Loaded::Residue(*key, uids.into_iter().collect())
        }
        Need::Tenant(id) => {
            let rows = by(session, &TENANT, "id = $2", part, &[id.0.into()], directory::tenant).await?;
            Loaded::Tenant(*id, rows.into_iter().next())
        }
        Need::TenantName(name) => {
            let value = Value::from(Bytes::copy_from_slice(name.as_bytes()));
            let rows = by(session, &TENANT, "name = $2", part, &[value], directory::tenant).await?;
            Loaded::TenantName(name.clone(), rows.into_iter().next())
        }
        Need::Domain(domain) => {
            let value = Value::from(domain.as_str());
            let rows = by(session, &DOMAIN, "domain = $2", part, &[value], directory::domain).await?;
            Loaded::Domain(domain.clone(), rows.into_iter().next())
        }
        Need::Address(address) => {
            let values = [address.domain().as_str().into(), address.local().into()];
            let key = "domain = $2 AND local = $3";
            let rows = by(session, &ADDRESS, key, part, &values, directory::address_row).await?;
            Loaded::Address(address.clone(), rows.into_iter().next())
        }
        Need::Placement(id) => {
            let rows =
                by(session, &PLACEMENT, "account = $2", part, &[id.0.into()], directory::placement).await?;
            Loaded::Placement(*id, rows.into_iter().next())
        }
        Need::PlacementCounts => {
            let sql = "SELECT shard, count(*) FROM placement WHERE part = $1 GROUP BY shard ORDER BY shard";
            let values = [part.into()];
            let counts = session.collect(sql, &values, |cells| {
                let group = GroupId(codec::unsigned(cells, 0, "placement.shard")?);
                Ok((group, codec::unsigned(cells, 1, "number of placements")?))
            });
            Loaded::PlacementCounts(counts.await?.into_iter().collect())
        }
        Need::AddressesOf(id) => Loaded::AddressesOf(*id, addresses(session, part, *id).await?),
    })
}

/// How many messages a mailbox has, and between which UIDs.
pub(crate) async fn extent(
    session: &mut impl Session,
    part: i64,
    key: MailboxKey,
) -> Result<Option<(u32, RangeInclusive<Uid>)>, StoreError> {
    let sql = include_str!("../queries/message/extent.sql");
    let values = mailbox_values(part, key);
    let found = session.collect(sql, &values, |cells| {
        let uids =
            codec::uid_or_null(cells, 1, "message.uid")?.zip(codec::uid_or_null(cells, 2, "message.uid")?);
        Ok((codec::narrow(cells, 0, "mailbox.messages")?, uids))
    });
    let found = found.await?.pop();
    Ok(found.and_then(|(messages, uids)| uids.map(|(first, last)| (messages, first..=last))))
}

/// Index rows of a mailbox between two UIDs.
pub(crate) async fn messages(
    session: &mut impl Session,
    part: i64,
    key: MailboxKey,
    (uids, about): (&RangeInclusive<Uid>, usize),
) -> Result<Vec<MessageRow>, StoreError> {
    let mut values = mailbox_values(part, key);
    values.extend([uids.start().get().into(), uids.end().get().into()]);
    let sql = include_str!("../queries/message/index.sql");
    session.collect_many(sql, &values, |cells| mail::message(cells, 0), about).await
}

/// Addresses that lead to an account.
pub(crate) async fn addresses(
    session: &mut impl Session,
    part: i64,
    account: AccountId,
) -> Result<Vec<buzon_model::row::AddressRow>, StoreError> {
    by(session, &ADDRESS, "account = $2", part, &[account.0.into()], directory::address_row).await
}

/// Rows of a table that a condition on `$2`, `$3`, … selects, in the order of the key.
pub(crate) async fn by<T: Send + 'static>(
    session: &mut impl Session,
    table: &'static Table,
    condition: &str,
    part: i64,
    values: &[Value],
    decode: Decode<T>,
) -> Result<Vec<T>, StoreError> {
    let (columns, keys) = (names(table.columns), names(table.key()));
    let sql = format!("SELECT {columns} FROM {} WHERE part = $1 AND {condition} ORDER BY {keys}", table.name);
    let values = [&[part.into()], values].concat();
    session.collect(&sql, &values, decode).await
}

async fn account(
    session: &mut impl Session,
    part: i64,
    id: AccountId,
) -> Result<Option<AccountLoaded>, StoreError> {
    let key = [Value::from(id.0)];
    let Some(row) = by(session, &ACCOUNT, "id = $2", part, &key, mail::account).await?.pop() else {
        return Ok(None);
    };
    let mailboxes = by(session, &MAILBOX, "account = $2", part, &key, mail::mailbox).await?;
    let sql = "SELECT name FROM subscription WHERE part = $1 AND account = $2 ORDER BY name";
    let values = [part.into(), id.0.into()];
    let subscriptions = session.collect(sql, &values, |cells| {
        MailboxName::new(codec::text(cells, 0, "subscription.name")?)
            .map_err(|_| codec::corrupt("subscription.name"))
    });
    Ok(Some(AccountLoaded { row, mailboxes, subscriptions: subscriptions.await? }))
}

async fn staging_rows(
    session: &mut impl Session,
    part: i64,
    account: AccountId,
    staging: u128,
) -> Result<Option<(MailboxId, Vec<buzon_model::row::StagedRow>)>, StoreError> {
    let values = [part.into(), account.0.into(), staging.into()];
    let rows = session.collect(include_str!("../queries/staged/load.sql"), &values, |cells| {
        Ok((MailboxId(codec::narrow(cells, 16, "staged.target")?), mail::staged(cells)?))
    });
    let rows = rows.await?;
    let target = rows.first().map(|row| row.0);
    Ok(target.map(|target| (target, rows.into_iter().map(|row| row.1).collect())))
}

/// Encoded summaries of these UIDs.
pub(crate) async fn summaries(
    session: &mut impl Session,
    part: i64,
    mailbox: MailboxKey,
    uids: &UidSet,
) -> Result<Vec<(Uid, Bytes)>, StoreError> {
    let mut found = runs_of(session, &SUMMARIES, part, mailbox, uids, |cells| {
        let body = Bytes::copy_from_slice(codec::bytes(cells, 1, "summary.body")?);
        Ok((codec::uid(cells, 0, "summary.uid")?, body))
    })
    .await?;
    ascend(&mut found, |row| row.0);
    Ok(found)
}

/// Tombstones among these UIDs.
pub(crate) async fn tombstones(
    session: &mut impl Session,
    part: i64,
    mailbox: MailboxKey,
    uids: &UidSet,
) -> Result<Vec<buzon_model::row::Tombstone>, StoreError> {
    let mut found = runs_of(session, &TOMBSTONES, part, mailbox, uids, mail::tombstone).await?;
    ascend(&mut found, |row| row.message.uid);
    Ok(found)
}

/// Runs ascend, and so does what is found of them, as long as the database goes from one to the next: the statements do not
/// ask for it, since SQLite would sort the rows with all that is in them.
fn ascend<T>(found: &mut [T], uid: impl Fn(&T) -> Uid) {
    if !found.is_sorted_by_key(&uid) {
        found.sort_unstable_by_key(uid);
    }
}

async fn runs_of<T: Send + 'static>(
    session: &mut impl Session,
    statement: &Statement,
    part: i64,
    mailbox: MailboxKey,
    uids: &UidSet,
    decode: Decode<T>,
) -> Result<Vec<T>, StoreError> {
    let mut rows: Rows = statement.rows();
    put_runs(&mut rows, mailbox, uids);
    session.batch_collect(statement, part, &rows, decode).await
}

/// UIDs expunged after a modseq.
pub(crate) async fn expunged_since(
    session: &mut impl Session,
    part: i64,
    mailbox: MailboxKey,
    since: u64,
) -> Result<UidSet, StoreError> {
    let mut values = mailbox_values(part, mailbox);
    values.push(signed(since).into());
    let sql = include_str!("../queries/message/expunged_since.sql");
    let uids = session.collect(sql, &values, |cells| codec::uid(cells, 0, "tombstone.uid")).await?;
    Ok(uids.into_iter().collect())
}

/// Before the first row: ids are stored as signed numbers.
const BEFORE_ALL: Value = Value::Int(Some(i64::MIN));

/// Mailboxes that are being deleted, after one.
pub(crate) async fn deleting_mailboxes(
    session: &mut impl Session,
    part: i64,
    after: Option<MailboxKey>,
    rows_max: u32,
) -> Result<Vec<MailboxKey>, StoreError> {
    let [account, id] =
        after.map_or([BEFORE_ALL; 2], |after| [after.account.0.into(), after.mailbox.0.into()]);
    let values = [part.into(), account, id, rows_max.into()];
    session
        .collect(include_str!("../queries/mailbox/deleting.sql"), &values, |cells| {
            Ok(MailboxKey {
                account: AccountId(codec::unsigned(cells, 0, "mailbox.account")?),
                mailbox: MailboxId(codec::narrow(cells, 1, "mailbox.id")?),
            })
        })
        .await
}

/// Staged copies, after one.
pub(crate) async fn staged_copies(
    session: &mut impl Session,
    part: i64,
    after: Option<(AccountId, u128)>,
    rows_max: u32,
) -> Result<Vec<(AccountId, u128)>, StoreError> {
    let (account, staging) = after.map_or((BEFORE_ALL, 0u128.into()), |(account, staging)| {
        (Value::from(account.0), Value::from(staging))
    });
    let values = [part.into(), account, staging, rows_max.into()];
    session
        .collect(include_str!("../queries/staged/names.sql"), &values, |cells| {
            Ok((
                AccountId(codec::unsigned(cells, 0, "staged.account")?),
                codec::wide(cells, 1, "staged.staging")?,
            ))
        })
        .await
}

fn mailbox_values(part: i64, key: MailboxKey) -> Vec<Value> {
    vec![part.into(), key.account.0.into(), key.mailbox.0.into()]
}
