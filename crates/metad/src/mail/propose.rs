//! Propose: a command into a group's log.

use buzon_model::command::{ClusterCommand, Command, ShardCommand};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::id::GroupId;
use buzon_types::request::RequestId;

use super::{Mail, replica};

pub(super) async fn propose(
    mail: &Mail,
    request: pb::ProposeRequest,
) -> Result<pb::ProposeResponse, CallError> {
    let group = GroupId(request.group);
    let replica = replica(&*mail.groups, group)?;
    let id = request.request.map(RequestId::try_from).transpose()?;
    let missing = WireError::new("propose_request.command");
    let command = Command::try_from(request.command.ok_or(missing)?)?;
    if id.is_none() && !is_safe_to_repeat(&command) {
        return Err(CallError::new(ErrorCode::Invalid, "this command needs a request id"));
    }
    let deletes_in = match &command {
        Command::Shard(ShardCommand::DeleteMailbox { account, .. }) => Some(*account),
        _ => None,
    };
    let ends_instances = matches!(command, Command::OpenInstance(_) | Command::CloseInstance(_));
    let (index, outcome) = replica.propose(id, command).await?;
    if let Some(account) = deletes_in.filter(|_| outcome.is_ok()) {
        mail.janitor.look_at(group, account, index);
    }
    if ends_instances && outcome.is_ok() {
        mail.janitor.look_for_copies(group);
    }
    Ok(pb::ProposeResponse { index: index.0, outcome: Some((&outcome).into()) })
}

/// Repeating it changes nothing more.
fn is_safe_to_repeat(command: &Command) -> bool {
    use ShardCommand as Shard;
    match command {
        Command::OpenInstance(_) | Command::CloseInstance(_) | Command::RaiseFeatureLevel(_) => true,
        Command::Directory(_) => false,
        // A shard without a number would be added once more.
        Command::Cluster(ClusterCommand::AddShards(shards)) => {
            shards.iter().all(|shard| shard.group.is_some())
        }
        Command::Cluster(_) => true,
        Command::Shard(command) => matches!(
            command,
            Shard::CreateAccount(_)
                | Shard::DeleteAccount(_)
                | Shard::PurgeAccount(_)
                | Shard::PurgeMailbox(_)
                | Shard::Subscribe { .. }
                | Shard::Unsubscribe { .. }
                | Shard::DropCopy { .. }
                | Shard::Relocate(_)
        ),
    }
}
