//! `kill -9` at random moments under a mixed load: what was acknowledged is there, and nothing is done by half.

use std::time::Duration;

use buzon_tests::load::Crowd;
use buzon_tests::load::check::Bodies;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::{Server, Start};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PEOPLE: u64 = 3;
/// Of the messages that were read back before, one in so many is read again after each kill; all at the end.
const AGAIN_ONE_IN: u32 = 30;
/// One start in so many is killed as well, while it recovers.
const RECOVERY_ONE_IN: u32 = 5;

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() -> anyhow::Result<()> {
    let moments = if is_long() { 300 } else { 50 };
    let seed = seed("kill9");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::start(Start::default())?;
    let mut crowd = Crowd::new(&server, PEOPLE, seed)?;
    for moment in 0..moments {
        let work = Duration::from_millis(random.random_range(150..1200));
        crowd.work(&mut server, work, |server| {
            server.kill();
            Ok(())
        })?;
        while random.random_ratio(1, RECOVERY_ONE_IN) {
            server.start_and_kill(Duration::from_millis(random.random_range(0..600)))?;
        }
        server.restart()?;
        let bodies = if moment + 1 == moments { Bodies::All } else { Bodies::Some(AGAIN_ONE_IN) };
        crowd.check(&server, bodies)?;
    }
    println!("{moments} kills: {}", crowd.summary());
    Ok(())
}
