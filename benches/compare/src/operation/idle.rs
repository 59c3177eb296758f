//! IDLE: from the delivery's 250 to the EXISTS that another session is told. One that comes before the 250 took no time.

use std::time::Instant;

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names, select};
use crate::client::lmtp::dotted;
use crate::cost::Reading;
use crate::messages::Source;
use crate::sample::{self, Sample};
use crate::server::address;

/// One after the other.
const DELIVERIES_MAX: usize = 40;

struct Idle;

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(Idle)]
}

impl Operation for Idle {
    fn row(&self) -> Row {
        Row::new("idle", "IDLE: a delivery's 250 to EXISTS", "delivery", &[Goal::Milliseconds(3.0)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(bench.scale.connections))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(turn(bench))
    }
}

async fn turn(bench: &Bench) -> anyhow::Result<Sample> {
    let mut sessions = Vec::new();
    for at in 0..bench.scale.connections {
        let mut imap = bench.imap(at, &name(at)).await?;
        select(&mut imap, "INBOX").await?;
        imap.idle().await?;
        sessions.push(imap);
    }
    // At another front-end than the session's, where there are two.
    let mut lmtp = bench.lmtp(1).await?;
    let message = dotted(&Source::Sized(4 << 10).message(1));
    let before = Reading::take(bench.server.as_ref())?;
    let (began, mut times) = (Instant::now(), Vec::new());
    for number in 0..DELIVERIES_MAX {
        if began.elapsed() > bench.scale.turn {
            break;
        }
        let at = number % sessions.len();
        lmtp.deliver(&address(&name(at)), &message).await?;
        let delivered = Instant::now();
        sessions[at].wait(" EXISTS").await?;
        times.push(delivered.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    let cost = before.until(&Reading::take(bench.server.as_ref())?);
    for session in &mut sessions {
        session.done().await?;
    }
    let units = times.len() as u64;
    sample::finish(bench.server.as_ref(), times, units, seconds, cost)
}
