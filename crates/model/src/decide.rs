//! What a command does: `decide(state, entry) -> (changes, outcome)`, the same on every replica.
//!
//! ```text
//! request ─▶ answered before? same outcome, nothing changes
//!            else ─▶ one handler, one file each ─▶ changes ─▶ SetTime, ForgetBelow, changes…, Record
//! ```
//! A handler gets rows that `missing` asked for and returns changes with a reply, or a refusal without changes.

mod account;
mod append;
mod concerned;
mod copy;
mod deliver;
mod directory;
mod draft;
mod expunge;
mod mailbox_create;
mod mailbox_delete;
mod mailbox_rename;
mod move_messages;
mod purge;
mod recent;
mod relocation;
mod stage;
mod store_flags;
mod subscribe;
mod tree;

use buzon_types::id::FeatureLevel;
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, DirectoryCommand, Entry, ShardCommand};
use crate::limits::{FEATURE_LEVEL_CLUSTER, FEATURE_LEVEL_FIRST, FEATURE_LEVEL_MAX, FEATURE_LEVEL_MOVES};
use crate::reply::{Outcome, Rejection, Reply};
use crate::requests::Verdict;
use crate::state::State;

/// What an entry comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens to the rows, in order.
    pub changes: Vec<Change>,
    /// What the asker is told.
    pub outcome: Outcome,
}

/// What a handler returns: changes with a reply, or a refusal.
type Decided = Result<(Vec<Change>, Reply), Rejection>;

/// Decides an entry. Rows that [`State::missing`] names must have been loaded; an account or mailbox that is not
/// loaded counts as absent.
pub fn decide(state: &State, entry: &Entry) -> Decision {
    let at = entry.at.max(state.time());
    // These are safe to repeat and make or end what records hang on, so they are not recorded themselves.
    let unrecorded = matches!(entry.command, Command::OpenInstance(_) | Command::CloseInstance(_));
    let request = entry.request.filter(|_| !unrecorded);
    let mut changes = Vec::new();
    if let Some(request) = request {
        let (answered, mark) = match state.requests().judge(&request) {
            Verdict::New(mark) => (None, mark),
            Verdict::Answered(outcome, mark) => (Some(outcome), mark),
        };
        let instance = request.instance;
        changes.extend(mark.map(|sequence| Change::ForgetBelow { instance, sequence }));
        if let Some(outcome) = answered {
            return Decision { changes, outcome };
        }
    }
    if at > state.time() {
        changes.push(Change::SetTime(at));
    }
    let outcome = decide_command(state, at, &entry.command).map(|(more, reply)| {
        changes.extend(more);
        reply
    });
    // Whoever is told that an account stands still for a moment asks again, under the same id.
    if let Some(request) = request.filter(|_| outcome != Err(Rejection::Frozen)) {
        let (instance, sequence) = (request.instance, request.sequence);
        let accounts = entry.command.accounts();
        changes.push(Change::Record { instance, sequence, accounts, outcome: outcome.clone() });
    }
    Decision { changes, outcome }
}

fn decide_command(state: &State, at: Timestamp, command: &Command) -> Decided {
    if introduced_in(command) > state.feature_level() {
        return Err(Rejection::NotHere);
    }
    match command {
        Command::OpenInstance(id) => {
            if state.requests().instance(*id).is_some() {
                return Ok((vec![], Reply::Done));
            }
            let mut changes: Vec<Change> =
                state.requests().left_behind(*id).map(Change::CloseInstance).collect();
            changes.push(Change::OpenInstance(*id, at));
            Ok((changes, Reply::Done))
        }
        Command::CloseInstance(id) => {
            let is_open = state.requests().instance(*id).is_some();
            Ok((if is_open { vec![Change::CloseInstance(*id)] } else { vec![] }, Reply::Done))
        }
        Command::RaiseFeatureLevel(level) if *level > FEATURE_LEVEL_MAX => Err(Rejection::NotHere),
        Command::RaiseFeatureLevel(level) => {
            let rises = *level > state.feature_level();
            Ok((if rises { vec![Change::SetFeatureLevel(*level)] } else { vec![] }, Reply::Done))
        }
        Command::Directory(command) if state.is_directory() => directory::decide(state, at, command),
        Command::Cluster(command) if state.is_directory() => directory::cluster::decide(state, at, command),
        Command::Shard(command) if !state.is_directory() => decide_shard(state, at, command),
        Command::Directory(_) | Command::Cluster(_) | Command::Shard(_) => Err(Rejection::NotHere),
    }
}

/// The feature level that a command came with. What a released level does never changes: a new command, or a new
/// way to decide an old one, gets the next level here.
fn introduced_in(command: &Command) -> FeatureLevel {
    match command {
        Command::Cluster(_) => FEATURE_LEVEL_CLUSTER,
        Command::Shard(ShardCommand::Relocate(_))
        | Command::Directory(
            DirectoryCommand::BeginMove { .. }
            | DirectoryCommand::CommitMove(_)
            | DirectoryCommand::AbortMove(_)
            | DirectoryCommand::FinishMove(_),
        ) => FEATURE_LEVEL_MOVES,
        _ => FEATURE_LEVEL_FIRST,
    }
}

fn decide_shard(state: &State, at: Timestamp, command: &ShardCommand) -> Decided {
    if !matches!(command, ShardCommand::Relocate(_) | ShardCommand::PurgeAccount(_)) {
        let is_delivery = matches!(command, ShardCommand::Deliver { .. });
        relocation::check_place(state, &command.accounts(), is_delivery)?;
    }
    match command {
        ShardCommand::CreateAccount(create) => account::create(state, at, create),
        ShardCommand::DeleteAccount(id) => account::delete(state, *id),
        ShardCommand::PurgeAccount(id) => purge::account(state, *id),
        ShardCommand::SetCredential { account, credential } => {
            account::set_credential(state, *account, credential.as_ref())
        }
        ShardCommand::SetAccountState { account, state: to } => account::set_state(state, *account, *to),
        ShardCommand::SetQuota { account, quota } => account::set_quota(state, *account, *quota),
        ShardCommand::CreateMailbox { account, name, special_use, uid_validity_seed } => {
            mailbox_create::decide(state, at, *account, name, *special_use, *uid_validity_seed)
        }
        ShardCommand::DeleteMailbox { account, name } => mailbox_delete::decide(state, *account, name),
        ShardCommand::PurgeMailbox(key) => purge::mailbox(state, *key),
        ShardCommand::RenameMailbox { account, from, to, uid_validity_seed } => mailbox_rename::decide(
            state,
            at,
            *account,
            mailbox_rename::Names { from, to },
            *uid_validity_seed,
        ),
        ShardCommand::Subscribe { account, name } => subscribe::subscribe(state, *account, name),
        ShardCommand::Unsubscribe { account, name } => subscribe::unsubscribe(state, *account, name),
        ShardCommand::Append { mailbox, messages } => append::decide(state, at, *mailbox, messages),
        ShardCommand::Deliver { recipients, message } => deliver::decide(state, at, recipients, message),
        ShardCommand::StoreFlags(store) => store_flags::decide(state, at, store),
        ShardCommand::Expunge { mailbox, uids } => expunge::decide(state, at, *mailbox, uids),
        ShardCommand::Copy(transfer) => copy::decide(state, at, transfer),
        ShardCommand::Move(transfer) => move_messages::decide(state, at, transfer),
        ShardCommand::StageCopy { staging, transfer } => stage::stage(state, at, *staging, transfer),
        ShardCommand::PublishCopy { account, staging, messages } => {
            stage::publish(state, at, *account, *staging, *messages)
        }
        ShardCommand::DropCopy { account, staging } => stage::drop_copy(state, *account, *staging),
        ShardCommand::ClaimRecent(key) => recent::claim(state, at, *key),
        ShardCommand::Relocate(step) => relocation::decide(state, at, step),
    }
}
