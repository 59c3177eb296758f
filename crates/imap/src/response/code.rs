//! Response codes: what programs read in a status response (RFC 9051 §7.1, RFC 5530).

use super::data::FlagNames;
use buzon_types::uid::{ModSeq, SequenceNumber, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
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
