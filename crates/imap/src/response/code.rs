//! Response codes: what programs read in a status response (RFC 9051 §7.1, RFC 5530).

use super::data::FlagNames;
use super::{NameEncoding, encode};
use buzon_types::uid::{ModSeq, SequenceNumber, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// ALERT: must be shown to people.
    Alert,
    /// ALREADYEXISTS
    AlreadyExists,
    /// APPENDUID
    AppendUid(UidValidity, UidSet),
    /// AUTHENTICATIONFAILED
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED
    AuthorizationFailed,
    /// BADCHARSET with those that are known.
    BadCharset(Vec<Cow<'static, str>>),
    /// CANNOT: never will work.
    Cannot,
    /// CAPABILITY
    Capability(Vec<Cow<'static, str>>),
    /// CLIENTBUG
    ClientBug,
    /// CLOSED: what follows is about the next mailbox.
    Closed,
    /// CONTACTADMIN
    ContactAdmin,
    /// COPYUID
    CopyUid {
        /// Of the mailbox copied to.
        uid_validity: UidValidity,
        /// From; as many as `to`, in the same order.
        from: UidSet,
        /// To.
        to: UidSet,
    },
    /// CORRUPTION
    Corruption,
    /// EXPIRED
    Expired,
    /// EXPUNGEISSUED: some of the messages are gone.
    ExpungeIssued,
    /// HASCHILDREN
    HasChildren,
    /// HIGHESTMODSEQ
    HighestModSeq(ModSeq),
    /// INUSE
    InUse,
    /// LIMIT
    Limit,
    /// MODIFIED: these failed UNCHANGEDSINCE; UIDs after UID STORE.
    ModifiedUids(UidSet),
    /// MODIFIED after STORE: sequence numbers as ascending runs.
    ModifiedNumbers(Vec<(SequenceNumber, SequenceNumber)>),
    /// NOMODSEQ
    NoModSeq,
    /// NONEXISTENT
    NonExistent,
    /// NOPERM
    NoPerm,
    /// NOTSAVED: `$` is empty now.
    NotSaved,
    /// OVERQUOTA
    OverQuota,
    /// PARSE
    Parse,
    /// PERMANENTFLAGS
    PermanentFlags(FlagNames),
    /// PRIVACYREQUIRED
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG
    ServerBug,
    /// TOOBIG (RFC 4469 §4.2)
    TooBig,
    /// TRYCREATE
    TryCreate,
    /// UIDNEXT
    UidNext(Uid),
    /// UIDNOTSTICKY
    UidNotSticky,
    /// UIDVALIDITY
    UidValidity(UidValidity),
    /// UNAVAILABLE: later perhaps.
    Unavailable,
    /// UNKNOWN-CTE
    UnknownCte,
    /// UNSEEN: the first one's number (rev1 only).
    Unseen(SequenceNumber),
    /// USEATTR: no such special use (RFC 6154 §3).
    UseAttr,
}

impl Code {
    /// Writes it without its brackets.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::AppendUid(validity, uids) => {
                out.put_slice(b"APPENDUID ");
                encode::number(out, validity.get().into());
                out.put_u8(b' ');
                encode::uid_set(out, uids);
            }
            Self::CopyUid { uid_validity, from, to } => {
                out.put_slice(b"COPYUID ");
                encode::number(out, uid_validity.get().into());
                out.put_u8(b' ');
                encode::uid_set(out, from);
                out.put_u8(b' ');
                encode::uid_set(out, to);
            }
            Self::BadCharset(charsets) if !charsets.is_empty() => write_charsets(out, charsets),
            Self::Capability(names) => words(out, b"CAPABILITY", names),
            Self::PermanentFlags(flags) => {
                out.put_slice(b"PERMANENTFLAGS ");
                flags.write(out);
            }
            Self::ModifiedUids(uids) => {
                out.put_slice(b"MODIFIED ");
                encode::uid_set(out, uids);
            }
            Self::ModifiedNumbers(runs) => {
                out.put_slice(b"MODIFIED ");
                encode::runs(out, runs.iter().map(|(first, last)| (first.get(), last.get())));
            }
            Self::HighestModSeq(modseq) => with_number(out, b"HIGHESTMODSEQ ", modseq.get()),
            Self::UidNext(uid) => with_number(out, b"UIDNEXT ", uid.get().into()),
            Self::UidValidity(validity) => with_number(out, b"UIDVALIDITY ", validity.get().into()),
            Self::Unseen(number) => with_number(out, b"UNSEEN ", number.get().into()),
            _ => out.put_slice(self.word().as_bytes()),
        }
    }

    /// The first word.
    fn word(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AppendUid(..) => "APPENDUID",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::BadCharset(_) => "BADCHARSET",
            Self::Cannot => "CANNOT",
            Self::Capability(_) => "CAPABILITY",
            Self::ClientBug => "CLIENTBUG",
            Self::Closed => "CLOSED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::CopyUid { .. } => "COPYUID",
            Self::Corruption => "CORRUPTION",
            Self::Expired => "EXPIRED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::InUse => "INUSE",
            Self::Limit => "LIMIT",
            Self::ModifiedUids(_) | Self::ModifiedNumbers(_) => "MODIFIED",
            Self::NoModSeq => "NOMODSEQ",
            Self::NonExistent => "NONEXISTENT",
            Self::NoPerm => "NOPERM",
            Self::NotSaved => "NOTSAVED",
            Self::OverQuota => "OVERQUOTA",
            Self::Parse => "PARSE",
            Self::PermanentFlags(_) => "PERMANENTFLAGS",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::ServerBug => "SERVERBUG",
            Self::TooBig => "TOOBIG",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unavailable => "UNAVAILABLE",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::Unseen(_) => "UNSEEN",
            Self::UseAttr => "USEATTR",
        }
    }
}

fn with_number(out: &mut BytesMut, word: &[u8], value: u64) {
    out.put_slice(word);
    encode::number(out, value);
}

fn write_charsets(out: &mut BytesMut, charsets: &[Cow<'static, str>]) {
    out.put_slice(b"BADCHARSET (");
    for (at, charset) in charsets.iter().enumerate() {
        if at > 0 {
            out.put_u8(b' ');
        }
        encode::astring(out, charset.as_bytes());
    }
    out.put_u8(b')');
}

/// `CAPABILITY a b`: names are ours, so they are atoms.
pub(crate) fn words(out: &mut BytesMut, first: &[u8], names: &[Cow<'static, str>]) {
    out.put_slice(first);
    for name in names {
        out.put_u8(b' ');
        encode::text(out, name, NameEncoding::ModifiedUtf7);
    }
}
