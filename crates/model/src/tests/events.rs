//! What the feed says.

use buzon_types::flag::SystemFlags;
use buzon_types::id::{CredentialVersion, MailboxId};

use crate::command::{Command, ShardCommand};
use crate::event::events;
use crate::read::EventKind;
use crate::tests::group::*;

fn kinds(group: &mut Group, command: ShardCommand) -> Vec<EventKind> {
    let changes = group.decide(Command::Shard(command), None).changes;
    let events = events(&changes);
    assert!(events.iter().all(|(account, _)| *account == ANA));
    events.into_iter().map(|(_, kind)| kind).collect()
}

#[test]
fn messages_tell_the_mailbox_and_how_far_it_got() {
    let mut group = Group::shard();
    assert_eq!(kinds(&mut group, append(key(1), 1)), [EventKind::Mailbox(MailboxId(1), modseq(2))]);
    group.fill(key(1), &[SystemFlags::DELETED]);
    let moved = kinds(&mut group, ShardCommand::Move(transfer(key(1), "1:2", key(4))));
    let at = modseq(4);
    assert_eq!(moved, [EventKind::Mailbox(MailboxId(1), at), EventKind::Mailbox(MailboxId(4), at)]);
    assert_eq!(kinds(&mut group, ShardCommand::ClaimRecent(key(1))), []);
}

#[test]
fn the_tree_and_the_credential_tell_of_themselves() {
    let mut group = Group::shard();
    assert!(kinds(&mut group, create_mailbox("a")).contains(&EventKind::Tree));
    let deleted = kinds(&mut group, delete("a"));
    assert_eq!(deleted, [EventKind::Mailbox(MailboxId(7), modseq(2)), EventKind::Tree]);
    let subscribe = ShardCommand::Subscribe { account: ANA, name: name("x") };
    assert_eq!(kinds(&mut group, subscribe), [EventKind::Tree]);
    let set = ShardCommand::SetCredential { account: ANA, credential: None };
    assert_eq!(kinds(&mut group, set), [EventKind::Credential(CredentialVersion(2))]);
}
