//! decode(encode(value)) == value, over real bytes.

use buzon_model::read::{
    AccountEvent, CredentialRead, MailboxDelta, MessageRead, OpenedMailbox, ReadAt, Topology, UsageRead,
};
use buzon_model::row::{MailboxRow, PlacementRow};
use buzon_proto::columns;
use buzon_proto::directory::topology_response;
use buzon_proto::log::{decode_entry, decode_outcome, encode_entry, encode_outcome};
use buzon_proto::mail::{changes_response, credential_response, usage_response};
use buzon_proto::pb::{directory::v1 as directory, mail::v1 as mail};
use buzon_types::id::LogIndex;
use proptest::prelude::*;
use prost::Message;

use crate::strategy;

/// Through bytes and back.
fn sent<P: Message + Default>(message: &P) -> P {
    P::decode(bytes::Bytes::from(message.encode_to_vec())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn entries(entry in strategy::entry()) {
        prop_assert_eq!(decode_entry(encode_entry(&entry)).unwrap(), entry);
    }

    #[test]
    fn outcomes(outcome in strategy::outcome()) {
        prop_assert_eq!(decode_outcome(encode_outcome(&outcome)).unwrap(), outcome);
    }
}

proptest! {
    #[test]
    fn mailbox_rows(row in strategy::mailbox_row()) {
        prop_assert_eq!(MailboxRow::try_from(sent(&mail::MailboxRow::from(&row))).unwrap(), row);
    }

    #[test]
    fn opened_mailboxes(row in strategy::mailbox_row(), uids in strategy::uid_set()) {
        let opened = OpenedMailbox { row, first_unseen: uids.first(), uids };
        prop_assert_eq!(OpenedMailbox::try_from(sent(&mail::OpenedMailbox::from(&opened))).unwrap(), opened);
    }

    #[test]
    fn messages(message in strategy::message_read()) {
        let back = MessageRead::try_from(sent(&mail::MessageRead::from(message.clone()))).unwrap();
        prop_assert_eq!(back, message);
    }

    #[test]
    fn columns_of_messages(messages in prop::collection::vec(strategy::message_read(), 0..6)) {
        let back = columns::messages(sent(&columns::columns(&messages))).unwrap();
        prop_assert_eq!(back, messages);
    }

    #[test]
    fn deltas(delta in strategy::delta()) {
        let back = MailboxDelta::try_from(sent(&changes_response(LogIndex(3), &delta))).unwrap();
        prop_assert_eq!(back, delta);
    }

    #[test]
    fn events(event in strategy::event()) {
        prop_assert_eq!(AccountEvent::try_from(sent(&mail::AccountEvent::from(event))).unwrap(), event);
    }

    #[test]
    fn credentials(read in strategy::credential()) {
        let back = CredentialRead::try_from(sent(&credential_response(LogIndex(3), &read))).unwrap();
        prop_assert_eq!(back, read);
    }

    #[test]
    fn usages(read in strategy::usage()) {
        prop_assert_eq!(UsageRead::try_from(sent(&usage_response(LogIndex(3), &read))).unwrap(), read);
    }

    #[test]
    fn placements(row in strategy::placement()) {
        prop_assert_eq!(PlacementRow::try_from(sent(&directory::Placement::from(&row))).unwrap(), row);
    }

    #[test]
    fn topologies(topology in strategy::topology()) {
        let back = Topology::try_from(sent(&topology_response(LogIndex(3), &topology))).unwrap();
        prop_assert_eq!(back, topology);
    }

    #[test]
    fn freshness(index in any::<u64>()) {
        for at in [ReadAt::Linearizable, ReadAt::Index(LogIndex(index)), ReadAt::Local] {
            prop_assert_eq!(ReadAt::try_from(sent(&mail::ReadAt::from(at))).unwrap(), at);
        }
    }
}

/// FETCH 1:* of a large mailbox is made of these: what one costs is what a list costs.
#[test]
fn a_message_without_summary_takes_under_eighty_bytes() {
    let messages = vec![crate::examples::message_read(); 500];
    let length = mail::MessageRead::from(messages[0].clone()).encoded_len();
    assert!(length < 80, "{length} bytes");
    let length = columns::columns(&messages).encoded_len() / messages.len();
    assert!(length < 60, "{length} bytes in columns");
}
