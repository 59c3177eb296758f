//! What nobody of ours sends is an error that names the field, never a panic.

use buzon_model::command::Entry;
use buzon_model::reply::{Outcome, Rejection};
use buzon_proto::log::{DecodeError, decode_entry, decode_outcome, encode_entry};
use buzon_proto::pb::log::v1 as pb;
use buzon_proto::pb::mail::v1 as mail;
use buzon_proto::wire::WireError;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;
use proptest::prelude::*;

use crate::strategy;

fn uids(runs: &[u32]) -> Result<UidSet, WireError> {
    pb::UidSet { runs: runs.to_vec() }.try_into()
}

#[test]
fn runs_that_are_no_set_are_refused() {
    assert_eq!(uids(&[1, 2, 4, 0]).unwrap().to_string(), "1:3,7");
    assert!(uids(&[1]).is_err());
    assert!(uids(&[0, 1]).is_err());
    assert!(uids(&[5, 0, 0, 0]).is_err());
    assert!(uids(&[u32::MAX, 1]).is_err());
    assert!(uids(&[1, u32::MAX - 1]).is_ok());
}

#[test]
fn a_command_of_a_later_version_is_an_error() {
    // Field 900 of Command, inside field 3 of Entry.
    const ENTRY: [u8; 6] = [0x1a, 0x04, 0xa2, 0x38, 0x01, 0x00];
    let error = decode_entry(Bytes::from_static(&ENTRY)).unwrap_err();
    assert!(matches!(error, DecodeError::Value(WireError { field: "command.command" })), "{error:?}");
}

#[test]
fn numbers_without_a_meaning_are_refused() {
    let rejection = |code| Rejection::try_from(pb::Rejection { code, ..Default::default() });
    assert!(rejection(0).is_err());
    assert!(rejection(999).is_err());
    // Over quota, but of what?
    assert!(rejection(pb::RejectionCode::OverQuota.into()).is_err());
    assert!(Outcome::try_from(pb::Outcome { outcome: None }).is_err());
    let store = pb::StoreFlags { mode: 9, mailbox: Some(Default::default()), ..Default::default() };
    assert!(buzon_model::command::StoreFlags::try_from(store).is_err());
    let flags = pb::FlagState { uid: 1, flags: 32, ..Default::default() };
    assert!(buzon_model::reply::FlagState::try_from(flags).is_err());
}

#[test]
fn columns_that_do_not_fit_together_are_refused() {
    use buzon_proto::columns;
    let sent = || columns::columns(&vec![crate::examples::message_read(); 3]);
    let refused = |columns| columns::messages(columns).unwrap_err().field;
    let summaries = || Bytes::from_static(b"abcd");
    let whole = mail::MessageColumns { summary_lengths: vec![3, 0, 3], summaries: summaries(), ..sent() };
    let read: Vec<_> = columns::messages(whole.clone()).unwrap().into_iter().map(|it| it.summary).collect();
    assert_eq!(read, [Some(Bytes::from_static(b"ab")), None, Some(Bytes::from_static(b"cd"))]);
    let short = mail::MessageColumns { sizes: vec![1, 2], ..sent() };
    assert_eq!(refused(short), "message_columns.sizes");
    for lengths in [vec![3, 0, 4], vec![3, 0, 2], vec![], vec![u32::MAX, 0, 0]] {
        let columns = mail::MessageColumns { summary_lengths: lengths, ..whole.clone() };
        assert_eq!(refused(columns), "message_columns.summaries");
    }
    let no_uid = mail::MessageColumns { uids: vec![1, 0, 2], ..sent() };
    assert_eq!(refused(no_uid), "message_columns.uids");
    let many = mail::MessageColumns { uids: vec![1; 5_000], ..Default::default() };
    assert_eq!(refused(many), "message_columns.uids");
    let nothing = mail::MessageColumns { uids: Vec::new(), ..sent() };
    assert!(columns::messages(nothing).is_err());
}

#[test]
fn names_that_are_none_are_refused() {
    let command =
        |kind| pb::Entry { command: Some(pb::Command { command: Some(kind) }), ..Default::default() };
    let named = pb::NamedMailbox { account: 1, name: "a//b".into() };
    let error = Entry::try_from(command(pb::command::Command::Subscribe(named))).unwrap_err();
    assert_eq!(error.field, "subscribe.name");
    let error = Entry::try_from(command(pb::command::Command::RemoveAlias("nobody".into()))).unwrap_err();
    assert_eq!(error.field, "command.remove_alias");
    let error = Entry::try_from(command(pb::command::Command::OpenInstance(Bytes::from_static(b"x"))));
    assert_eq!(error.unwrap_err().field, "command.open_instance");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_entry(bytes.clone().into());
        let _ = decode_outcome(bytes.into());
    }

    #[test]
    fn damaged_entries_never_panic(entry in strategy::entry(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = encode_entry(&entry).to_vec();
        let at = at % bytes.len().max(1);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = decode_entry(bytes.into());
    }
}
