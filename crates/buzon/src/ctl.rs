//! `buzon ctl`: administers a running server over its admin gRPC.
//!
//! Tables for people, one JSON document with `--json`. Exit codes: 0 done, 1 failed, 2 bad usage, 3 no such thing,
//! 4 refused since something is in the way, 5 server not reached.

use std::process::ExitCode;

use tonic::Code;

mod account;
mod cluster;
pub(crate) mod connection;
mod domain;
mod mailbox;
mod node;
mod output;
mod password;
mod shard;
mod status;
mod tenant;
mod upgrade;

use crate::cli::{Ctl, CtlCommand};
use connection::Admin;
use output::Output;

/// Runs one command.
///
/// # Errors
/// Those that have no exit code of their own.
pub(crate) fn main(arguments: Ctl) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        if let CtlCommand::Cluster(command) = arguments.command {
            return cluster::run(&arguments.connection, command).await;
        }
        let mut admin = connection::connect(&arguments.connection).await?;
        run(&mut admin, arguments.command).await
    });
    match done {
        Ok(output) => {
            output.print(arguments.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let Some(code) = exit_code(&error) else { return Err(error) };
            eprintln!("buzon: {}", connection::describe(&error));
            Ok(ExitCode::from(code))
        }
    }
}

async fn run(admin: &mut Admin, command: CtlCommand) -> anyhow::Result<Output> {
    match command {
        CtlCommand::Cluster(_) => anyhow::bail!("has a connection of its own"),
        CtlCommand::Tenant(command) => tenant::run(admin, command).await,
        CtlCommand::Domain(command) => domain::run(admin, command).await,
        CtlCommand::Account(command) => account::run(admin, command).await,
        CtlCommand::Mailbox(command) => mailbox::run(admin, command).await,
        CtlCommand::Node(command) => node::run(admin, command).await,
        CtlCommand::Shard(command) => shard::run(admin, command).await,
        CtlCommand::Rebalance => shard::rebalance(admin).await,
        CtlCommand::Upgrade(command) => upgrade::run(admin, command).await,
        CtlCommand::Status => status::run(admin).await,
    }
}

fn exit_code(error: &anyhow::Error) -> Option<u8> {
    if error.downcast_ref::<tonic::transport::Error>().is_some() {
        return Some(5);
    }
    Some(match error.downcast_ref::<tonic::Status>()?.code() {
        Code::NotFound => 3,
        Code::AlreadyExists | Code::FailedPrecondition | Code::ResourceExhausted => 4,
        Code::Unavailable | Code::DeadlineExceeded => 5,
        _ => 1,
    })
}
