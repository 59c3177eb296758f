//! A term and a node make one leader (here openraft lets several nodes lead in one term, one after the other, ordered by
//! their ids), and a leader writes each entry once: whatever stands under one id is the same on all disks.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Invariant, ensure};
use crate::log::backend::Operation;
use crate::record;
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    /// By term, node and index.
    entries: BTreeMap<(u64, u64, u64), Bytes>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "one_leader_per_term"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        match event {
            Event::Synced { node, operation: Operation::Append(records), .. } => {
                for record in records {
                    let entry =
                        record::decode_entry(record.bytes.clone()).map_err(|error| error.to_string())?;
                    let leader = entry.log_id.committed_leader_id();
                    let key = (leader.term, leader.node_id, record.index);
                    let known = self.entries.entry(key).or_insert_with(|| record.bytes.clone());
                    ensure(*known == record.bytes, || {
                        format!("node {node} has another entry than others under {key:?}")
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
