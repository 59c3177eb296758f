//! `buzon import`: brings mbox files and maildirs into an account, message by message over gRPC.
//!
//! Several messages are on their way at a time, each with an ordinal that makes it stored once. What is answered is
//! remembered, so an interrupted import goes on where it stopped when it is started again the same way.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use buzon_proto::pb::import::v1::import_service_client::ImportServiceClient;
use buzon_proto::pb::import::v1::{FinishImportRequest, ImportMessageRequest};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};

mod item;
mod maildir;
mod mbox;
pub(crate) mod service;
mod state;

use crate::cli::{Import, ImportFormat};
use crate::ctl::connection::{self, Authorized};
use item::{Item, with_crlf};
use maildir::Planned;
use mbox::Mbox;
use state::State;

/// Messages on their way at a time: enough to share the server's fsyncs.
const IN_FLIGHT_MAX: usize = 16;
/// How often one message is tried before the import stops; it can be resumed.
const TRIES_MAX: u32 = 5;
/// Progress is written each time so many messages were answered.
const SAVE_EVERY: u64 = 64;

type Client = ImportServiceClient<Authorized>;

/// Where messages come from.
enum Source {
    Mbox(Mbox),
    Maildir(Vec<Planned>),
}

/// Runs an import.
///
/// # Errors
/// Says how to go on.
pub(crate) fn main(arguments: &Import) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(run(arguments))?;
    Ok(code)
}

async fn run(arguments: &Import) -> anyhow::Result<ExitCode> {
    let (channel, bearer) = connection::channel(&arguments.connection).await?;
    let client = ImportServiceClient::with_interceptor(channel, bearer).max_encoding_message_size(usize::MAX);
    let file = arguments.file.canonicalize().with_context(|| format!("find {}", arguments.file.display()))?;
    let key = [&*file.to_string_lossy(), &arguments.account, &arguments.mailbox];
    let mut state = match State::resume(&key)? {
        Some(state) => {
            eprintln!("going on after message {}", state.answered_below);
            state
        }
        None => State::begin(&key, plan(arguments, &file)?)?,
    };
    let (source, progress) = open(arguments, &file, &state)?;
    let done = send_all(&client, arguments, source, &mut state, &progress).await;
    state.save()?;
    let messages = match done {
        Ok(messages) => messages,
        Err(error) => {
            progress.abandon();
            return Err(error.context("stopped; the same command goes on where it stopped"));
        }
    };
    let finish = FinishImportRequest { address: arguments.account.clone(), import_id: id(&state) };
    client.clone().finish_import(finish).await?;
    state.remove();
    progress.finish_and_clear();
    println!("{messages} messages imported into {}", arguments.account);
    Ok(ExitCode::SUCCESS)
}

fn plan(arguments: &Import, file: &Path) -> anyhow::Result<Vec<Planned>> {
    match arguments.format {
        ImportFormat::Mbox => Ok(Vec::new()),
        ImportFormat::Maildir => maildir::plan(file, &arguments.mailbox),
    }
}

fn open(arguments: &Import, file: &Path, state: &State) -> anyhow::Result<(Source, ProgressBar)> {
    let (source, length, unit) = match arguments.format {
        ImportFormat::Mbox => (
            Source::Mbox(Mbox::open(file, &arguments.mailbox)?),
            std::fs::metadata(file)?.len(),
            "{bytes}/{total_bytes}",
        ),
        ImportFormat::Maildir => {
            (Source::Maildir(state.plan.clone()), state.plan.len() as u64, "{pos}/{len} messages")
        }
    };
    let style = ProgressStyle::with_template(&format!("{{wide_bar}} {unit} {{per_sec}} {{eta}}"))?;
    Ok((source, ProgressBar::new(length).with_style(style)))
}

impl Source {
    /// The message with that ordinal, asked for in ascending order. `Some(None)`: there is none any more.
    fn next(&mut self, ordinal: u64, progress: &ProgressBar) -> anyhow::Result<Option<Option<Item>>> {
        match self {
            Self::Mbox(mbox) => {
                progress.set_position(mbox.position()?);
                Ok(mbox.next()?.map(Some))
            }
            Self::Maildir(plan) => {
                progress.set_position(ordinal);
                let planned = usize::try_from(ordinal).ok().and_then(|at| plan.get(at));
                planned.map(maildir::read).transpose()
            }
        }
    }
}

/// Sends what is not answered yet; answers how many messages the whole import has.
async fn send_all(
    client: &Client,
    arguments: &Import,
    mut source: Source,
    state: &mut State,
    progress: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut flight = FuturesUnordered::new();
    let mut outstanding = BTreeSet::new();
    let (mut ordinal, mut missing) = (0, 0);
    let mut saved = state.answered_below;
    loop {
        while flight.len() < IN_FLIGHT_MAX {
            let Some(next) = source.next(ordinal, progress)? else { break };
            match next {
                Some(item) if ordinal >= state.answered_below => {
                    let first = outstanding.first().copied().unwrap_or(ordinal);
                    outstanding.insert(ordinal);
                    flight.push(send(client.clone(), request(arguments, item, id(state), ordinal, first)));
                }
                Some(_) => {}
                None => missing += 1,
            }
            ordinal += 1;
        }
        let Some(sent) = flight.next().await else { return Ok(ordinal - missing) };
        outstanding.remove(&sent?);
        state.answered_below = outstanding.first().copied().unwrap_or(ordinal).max(state.answered_below);
        if state.answered_below >= saved + SAVE_EVERY {
            state.save()?;
            saved = state.answered_below;
        }
    }
}

fn id(state: &State) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&state.import_id.to_be_bytes())
}

fn request(
    arguments: &Import,
    item: Item,
    import_id: bytes::Bytes,
    ordinal: u64,
    first: u64,
) -> ImportMessageRequest {
    ImportMessageRequest {
        address: arguments.account.clone(),
        mailbox: item.mailbox,
        import_id,
        ordinal,
        answered_below: first,
        flags: item.flags,
        date_seconds: item.date.unwrap_or_else(|| jiff::Timestamp::now().as_second()),
        date_zone_minutes: 0,
        message: with_crlf(item.message).into(),
    }
}

/// Sends one message until it is answered; answers its ordinal.
async fn send(mut client: Client, request: ImportMessageRequest) -> anyhow::Result<u64> {
    let ordinal = request.ordinal;
    for attempt in 1.. {
        match client.import_message(request.clone()).await {
            Ok(_) => break,
            Err(status) if attempt < TRIES_MAX && status.code() == tonic::Code::Unavailable => {
                tokio::time::sleep(std::time::Duration::from_millis(200 << attempt)).await;
            }
            Err(status) => bail!("message {ordinal}: {}", status.message()),
        }
    }
    Ok(ordinal)
}
