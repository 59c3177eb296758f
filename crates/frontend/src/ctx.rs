//! What a command works with: the session's state and the services of the process.

use std::net::IpAddr;
use std::sync::Arc;

use buzon_bodies::Bodies;
use buzon_imap::command::{MailboxArg, Tag};
use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Response, Status};
use buzon_imap::session::{Session, State};
use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::{MetaError, WriteOutcome};
use buzon_model::command::{Command, ShardCommand};
use buzon_model::read::{At, MailboxList, ReadAt};
use buzon_model::reply::Reply;
use buzon_model::row::MailboxRow;
use buzon_types::id::{CredentialVersion, LogIndex};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::ModSeq;
use rustls::ServerConfig;

use crate::auth::Authenticator;
use crate::capability::{Standing, capabilities};
use crate::claim::{Claim, Claims};
use crate::cmd::append::Receiving;
use crate::cmd::authenticate::Exchange;
use crate::enabled::Enabled;
use crate::feed::Feed;
use crate::incoming::Budget;
use crate::meta_api::{MetaApi, Watching};
use crate::metrics::Metrics;
use crate::options::ImapOptions;
use crate::rescue::CommandError;
use crate::selected::Selected;
use crate::summaries::SummaryCache;
use crate::wire::Wire;

/// What all sessions of a process share.
pub(crate) struct Services {
    pub(crate) options: ImapOptions,
    pub(crate) meta: Arc<dyn MetaApi>,
    pub(crate) bodies: Bodies,
    pub(crate) summaries: SummaryCache,
    pub(crate) authenticator: Authenticator,
    /// Memory for messages on their way in.
    pub(crate) budget: Budget,
    /// Memory for bodies that are searched: its own, so that searches hold back no message.
    pub(crate) search_budget: Budget,
    /// Claims of `\Recent` on their way.
    pub(crate) claims: Claims,
    pub(crate) metrics: Metrics,
    /// For STARTTLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Whether somebody on the way can listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte, or since STARTTLS.
    Tls,
    /// None.
    Plaintext,
}

/// The other side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) security: Security,
}

impl Peer {
    /// Whether a password may be sent: over TLS, or to the same machine.
    pub(crate) fn may_log_in(self) -> bool {
        self.security == Security::Tls || self.address.to_canonical().is_loopback()
    }
}

/// Who is logged in.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) handle: AccountHandle,
    /// Of the credential that let them in.
    pub(crate) version: CredentialVersion,
    /// The greatest log index this session has seen: it never goes back (DESIGN D5).
    pub(crate) seen: LogIndex,
}

/// One session.
pub(crate) struct Ctx {
    pub(crate) services: Arc<Services>,
    pub(crate) peer: Peer,
    pub(crate) wire: Wire,
    pub(crate) protocol: Session,
    pub(crate) enabled: Enabled,
    pub(crate) account: Option<Account>,
    pub(crate) selected: Option<Selected>,
    pub(crate) feed: Arc<Feed>,
    /// The account's events, until the connection takes them over after login.
    pub(crate) new_watch: Option<Box<dyn Watching>>,
    /// Logins that failed on this connection.
    pub(crate) failed_logins: u32,
    /// A reply of our own did not begin where the view stands: a delta is needed.
    pub(crate) behind: bool,
    /// AUTHENTICATE under way.
    pub(crate) exchange: Option<Exchange>,
    /// APPEND under way.
    pub(crate) receiving: Option<Receiving>,
    /// IDLE under way.
    pub(crate) idle: Option<Tag>,
    /// The selected mailbox's new messages are being claimed.
    pub(crate) claim: Option<Claim>,
}

impl Ctx {
    pub(crate) fn new(services: Arc<Services>, peer: Peer, wire: Wire) -> Self {
        Self {
            protocol: Session::new(services.options.limits.clone()),
            services,
            peer,
            wire,
            enabled: Enabled::default(),
            account: None,
            selected: None,
            feed: Arc::default(),
            new_watch: None,
            failed_logins: 0,
            behind: false,
            exchange: None,
            receiving: None,
            idle: None,
            claim: None,
        }
    }

    /// Who is logged in; the protocol lets no command through before.
    pub(crate) fn account(&self) -> Result<&Account, CommandError> {
        self.account.as_ref().ok_or(CommandError::State)
    }

    /// The selected mailbox; the protocol lets no command through without.
    pub(crate) fn selected(&self) -> Result<&Selected, CommandError> {
        self.selected.as_ref().ok_or(CommandError::State)
    }

    pub(crate) fn selected_mut(&mut self) -> Result<&mut Selected, CommandError> {
        self.selected.as_mut().ok_or(CommandError::State)
    }

    /// Reads that see all that this session saw.
    pub(crate) fn read_at(&self) -> Result<ReadAt, CommandError> {
        Ok(ReadAt::Index(self.account()?.seen))
    }

    /// Notes how far the session has seen.
    pub(crate) fn saw(&mut self, index: LogIndex) {
        if let Some(account) = &mut self.account {
            account.seen = account.seen.max(index);
        }
    }

    /// Takes a read's value.
    pub(crate) fn take<T>(&mut self, read: At<T>) -> T {
        self.saw(read.index);
        read.value
    }

    /// Adds a response to the output.
    pub(crate) fn put(&mut self, response: impl Into<Response>) {
        let names = self.enabled.names();
        self.wire.put(&response.into(), names);
    }

    /// `* OK [CAPABILITY …]` and its like.
    pub(crate) fn capabilities(&self) -> Vec<std::borrow::Cow<'static, str>> {
        capabilities(Standing {
            logged_in: self.account.is_some(),
            can_start_tls: self.services.tls.is_some() && self.peer.security == Security::Plaintext,
            may_log_in: self.peer.may_log_in(),
        })
    }

    /// The session used CONDSTORE: from now on MODSEQ comes with all news of flags. The first time with a mailbox open,
    /// the client must learn where that stands (RFC 7162 §3.1).
    pub(crate) fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(selected) = &self.selected {
            let highest = Code::HighestModSeq(selected.modseq().max(ModSeq::ZERO.next()));
            self.put(Status::untagged(Condition::Ok, "highest").with(highest));
        }
    }

    /// Tells the protocol where the session stands.
    pub(crate) fn settle(&mut self) {
        let state = match (&self.account, &self.selected) {
            (None, _) => State::NotAuthenticated,
            (Some(_), None) => State::Authenticated,
            (Some(_), Some(_)) => State::Selected,
        };
        self.protocol.set_state(state);
        self.protocol.set_name_encoding(self.enabled.names());
        self.feed.keep_only(self.selected.as_ref().map(|selected| selected.key.mailbox));
    }

    /// Leaves the selected mailbox.
    pub(crate) fn deselect(&mut self) -> Option<Selected> {
        (self.behind, self.claim) = (false, None);
        self.selected.take()
    }

    /// A change of many messages failed. It goes in steps, and of some it may not be known whether they were made.
    pub(crate) fn may_be_behind(&mut self, error: MetaError) -> CommandError {
        let untouched = error.outcome() == WriteOutcome::NotApplied;
        self.behind |= !untouched || matches!(error, MetaError::Rejected(_));
        error.into()
    }

    /// Puts a command of this account into its shard's log.
    pub(crate) async fn propose(&mut self, command: ShardCommand) -> Result<Reply, CommandError> {
        let shard = self.account()?.handle.shard;
        let (index, outcome) = self.services.meta.propose(shard, Command::Shard(command)).await?;
        self.saw(index);
        Ok(outcome?)
    }

    /// All mailboxes, as new as can be.
    pub(crate) async fn list_mailboxes(&mut self) -> Result<MailboxList, CommandError> {
        let account = &self.account()?.handle;
        let read = self.services.meta.list_mailboxes(account, ReadAt::Linearizable).await?;
        Ok(self.take(read))
    }

    /// A mailbox by its name, as new as can be.
    pub(crate) async fn find_mailbox(
        &mut self,
        name: &MailboxName,
    ) -> Result<Option<MailboxRow>, CommandError> {
        let account = &self.account()?.handle;
        let read = self.services.meta.mailbox(account, name, ReadAt::Linearizable).await?;
        Ok(self.take(read))
    }
}

/// A name that no mailbox can have does not exist.
pub(crate) fn existing_name(mailbox: &MailboxArg) -> Result<MailboxName, CommandError> {
    let code = buzon_imap::response::code::Code::NonExistent;
    mailbox.name().map_err(|error| CommandError::no(code, error.to_string()))
}

/// What a command came to.
pub(crate) struct Done {
    /// The tagged answer.
    pub(crate) status: Status,
    /// What happens next.
    pub(crate) then: Then,
}

/// After the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next command.
    Continue,
    /// The connection ends.
    Close,
    /// The handshake begins.
    StartTls,
}

impl From<Status> for Done {
    fn from(status: Status) -> Self {
        Self { status, then: Then::Continue }
    }
}
