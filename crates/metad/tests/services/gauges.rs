//! What operators see of the groups.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buzon_telemetry::build;
use buzon_telemetry::export::Export;
use buzon_telemetry::options::Options;

use crate::world::World;

#[tokio::test]
async fn gauges_follow_the_groups_and_end_with_their_node() {
    let (telemetry, _) = build(&Options::default(), &Export::default(), io::sink).unwrap();
    let world = World::observed(telemetry.meter("buzon.metad")).await;
    world.account().await;
    let text = telemetry.render_metrics();
    let applied = *world.shard.applied.borrow();
    for line in [
        r#"buzon_raft_leader{group="0"} 1"#.to_owned(),
        r#"buzon_raft_leader{group="1"} 1"#.to_owned(),
        r#"buzon_raft_proposals{group="1"} 0"#.to_owned(),
        format!(r#"buzon_raft_applied_index{{group="1"}} {applied}"#),
        format!(r#"buzon_raft_rows_index{{group="1"}} {applied}"#),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(applied > 0);
    world.shard.leads.store(false, Ordering::SeqCst);
    let text = telemetry.render_metrics();
    assert!(text.contains(r#"buzon_raft_leader{group="1"} 0"#), "{text}");
    drop(world);
    // Its tasks end when they are run next.
    let gone = async {
        while telemetry.render_metrics().contains("buzon_raft_leader{") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a node that is gone is seen no more");
}
