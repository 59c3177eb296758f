//! Client instances whose process is gone for good: a front-end has a new name with every start, so no later process of the
//! same owner closes what a killed one left.
//!
//! Nothing is taken from anybody by this: a process that was only silent is refused once, since the group does not know its
//! instance any more, and opens another; what it had sent before is not done twice (DESIGN promise 4). Instances without
//! an owner belong to tools whose work goes on after days, and stay.

use std::collections::BTreeMap;
use std::time::Duration;

use buzon_types::request::InstanceId;
use tokio::time::Instant;

/// Nobody pauses a front-end for so long and then lets it go on.
const SILENT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How far an instance's requests have come: it moves with each of them.
pub(super) type Mark = (u64, Option<u64>);

/// What was seen of the instances of one group, by one leader.
#[derive(Debug, Default)]
pub(super) struct Silent(BTreeMap<InstanceId, (Mark, Instant)>);

impl Silent {
    /// Notes how far the open instances are; those that have not moved for too long.
    pub(super) fn look(&mut self, open: impl Iterator<Item = (InstanceId, Mark)>) -> Vec<InstanceId> {
        let (now, before) = (Instant::now(), std::mem::take(&mut self.0));
        let mut silent = Vec::new();
        for (id, mark) in open.filter(|(id, _)| id.owner() != 0) {
            let since = before.get(&id).filter(|seen| seen.0 == mark).map_or(now, |seen| seen.1);
            self.0.insert(id, (mark, since));
            if now - since >= SILENT_MAX {
                silent.push(id);
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_a_week_and_nobodys_tool_is_told() {
        let (dead, alive, tool) = (InstanceId::owned(1, 1), InstanceId::owned(2, 1), InstanceId::owned(0, 1));
        let mut silent = Silent::default();
        for hour in 0..7 * 24 {
            let open = [(dead, (3, Some(4))), (alive, (hour, None)), (tool, (1, None))];
            assert_eq!(silent.look(open.into_iter()), [], "after {hour} hours");
            tokio::time::advance(HOUR).await;
        }
        let open = [(dead, (3, Some(4))), (alive, (167, None)), (tool, (1, None))];
        assert_eq!(silent.look(open.into_iter()), [dead]);
        // One that is gone meanwhile and comes back begins anew.
        assert_eq!(silent.look([(alive, (167, None))].into_iter()), []);
        assert_eq!(silent.look([(dead, (3, Some(4)))].into_iter()), []);
    }
}
