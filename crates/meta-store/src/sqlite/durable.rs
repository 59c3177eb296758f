//! What is known to be on the disk.

use std::collections::HashMap;

use buzon_types::id::GroupId;

/// Up to where each group's rows are.
#[derive(Debug, Default)]
pub(super) struct Durable {
    indexes: HashMap<GroupId, u64>,
    /// How often a group was forgotten, and when each was last: a pass that began before then saw rows that are gone.
    forgets: u64,
    forgotten: HashMap<GroupId, u64>,
}

impl Durable {
    pub(super) fn index(&self, group: GroupId) -> u64 {
        self.indexes.get(&group).copied().unwrap_or(0)
    }

    /// To be asked before rows are looked at, and told with what was seen.
    pub(super) fn now(&self) -> u64 {
        self.forgets
    }

    /// What was seen since `began` is on the disk.
    pub(super) fn note(&mut self, began: u64, heads: Vec<(GroupId, u64)>) {
        for (group, index) in heads {
            if self.forgotten.get(&group).is_none_or(|forgotten| *forgotten <= began) {
                let known = self.indexes.entry(group).or_default();
                *known = index.max(*known);
            }
        }
    }

    pub(super) fn forget(&mut self, group: GroupId) {
        self.forgets += 1;
        self.indexes.remove(&group);
        self.forgotten.insert(group, self.forgets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_saw_a_group_before_it_was_forgotten_says_nothing_of_it() {
        let (gone, other) = (GroupId(1), GroupId(2));
        let mut durable = Durable::default();
        let began = durable.now();
        durable.note(began, vec![(gone, 7), (other, 7)]);
        durable.forget(gone);
        durable.note(began, vec![(gone, 9), (other, 9)]);
        assert_eq!((durable.index(gone), durable.index(other)), (0, 9));
        durable.note(durable.now(), vec![(gone, 3)]);
        assert_eq!(durable.index(gone), 3);
    }
}
