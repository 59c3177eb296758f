//! A shard's accounts from first to last.

use buzon_types::flag::SystemFlags;
use buzon_types::id::{CredentialVersion, FeatureLevel};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;

use crate::command::{Command, DirectoryCommand, ShardCommand};
use crate::limits::FEATURE_LEVEL_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{AccountState, Quota};
use crate::tests::group::*;

#[test]
fn a_new_account_has_its_mailboxes_all_subscribed() {
    let mut group = Group::shard();
    let account = group.state.account(ANA).unwrap();
    let uses: Vec<_> = account.mailboxes().map(|it| (it.row.name.to_string(), it.row.special_use)).collect();
    let expected = [
        ("Archive", Some(SpecialUse::Archive)),
        ("Drafts", Some(SpecialUse::Drafts)),
        ("INBOX", None),
        ("Junk", Some(SpecialUse::Junk)),
        ("Sent", Some(SpecialUse::Sent)),
        ("Trash", Some(SpecialUse::Trash)),
    ];
    assert_eq!(uses, expected.map(|(name, special_use)| (name.to_owned(), special_use)));
    assert!(account.mailboxes().all(|it| account.is_subscribed(&it.row.name)));
    assert_eq!(group.run_idle(create_account(ANA, Quota::default())), Ok(Reply::Done));
}

#[test]
fn each_change_of_credential_or_state_gets_a_version() {
    let mut group = Group::shard();
    let credential = Some(Secret::new("phc".to_owned()));
    group.run(ShardCommand::SetCredential { account: ANA, credential }).unwrap();
    let suspend = ShardCommand::SetAccountState { account: ANA, state: AccountState::Suspended };
    group.run(suspend.clone()).unwrap();
    group.run_idle(suspend).unwrap();
    assert_eq!(group.rows.accounts[&ANA].credential_version, CredentialVersion(3));
    let deleting = ShardCommand::SetAccountState { account: ANA, state: AccountState::Deleting };
    group.refuse(deleting, Rejection::NotHere);
}

#[test]
fn a_deleted_account_is_hidden_then_purged_for_good() {
    let mut group = Group::shard();
    group.fill(key(1), &vec![SystemFlags::NONE; 2_000]);
    group.fill(key(5), &[SystemFlags::NONE]);
    group.refuse(ShardCommand::PurgeAccount(ANA), Rejection::NotHere);
    group.run(ShardCommand::DeleteAccount(ANA)).unwrap();
    group.run_idle(ShardCommand::DeleteAccount(ANA)).unwrap();
    group.refuse(append(key(1), 1), Rejection::NoSuchAccount);
    group.refuse(create_account(ANA, Quota::default()), Rejection::NoSuchAccount);
    group.state.shrink(0);
    let mut steps = 1;
    while group.run(ShardCommand::PurgeAccount(ANA)) == Ok(Reply::Purged { more: true }) {
        steps += 1;
    }
    assert_eq!(steps, 7, "INBOX takes two, each other mailbox one");
    assert!(
        group.rows.accounts.is_empty() && group.rows.messages.is_empty() && group.rows.summaries.is_empty()
    );
    assert_eq!(group.run_idle(ShardCommand::PurgeAccount(ANA)), Ok(Reply::Purged { more: false }));
    group.refuse(ShardCommand::DeleteAccount(ANA), Rejection::NoSuchAccount);
}

#[test]
fn commands_for_another_kind_of_group_are_refused() {
    let mut shard = Group::shard();
    let tenants = Command::Directory(DirectoryCommand::DeleteTenant(buzon_types::id::TenantId(1)));
    assert_eq!(shard.decide(tenants, None).outcome, Err(Rejection::NotHere));
    let mut directory = Group::directory();
    directory.refuse(ShardCommand::DeleteAccount(ANA), Rejection::NotHere);
}

#[test]
fn the_feature_level_only_rises_and_not_above_what_is_known() {
    let mut group = Group::shard();
    let raise = |level| Command::RaiseFeatureLevel(FeatureLevel(level));
    assert_eq!(group.decide(raise(0), None).outcome, Ok(Reply::Done));
    assert_eq!(group.decide(raise(1), None).outcome, Ok(Reply::Done));
    assert_eq!(group.state.feature_level(), FeatureLevel(1));
    assert_eq!(group.decide(raise(FEATURE_LEVEL_MAX.0), None).outcome, Ok(Reply::Done));
    assert_eq!(group.state.feature_level(), FEATURE_LEVEL_MAX);
    assert_eq!(group.decide(raise(1), None).outcome, Ok(Reply::Done));
    assert_eq!(group.state.feature_level(), FEATURE_LEVEL_MAX);
    assert_eq!(group.decide(raise(FEATURE_LEVEL_MAX.0 + 1), None).outcome, Err(Rejection::NotHere));
}

#[test]
fn time_never_goes_back() {
    let mut group = Group::shard();
    group.at = 10;
    group.fill(key(1), &[SystemFlags::NONE]);
    let saved = group.rows.live(key(1)).next().unwrap().saved_at;
    assert_eq!(saved, group.rows.time);
    assert!(saved.0 > 1_000);
}
