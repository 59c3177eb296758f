//! Where accounts live.

use buzon_model::row::{PlacementRow, PlacementState};
use buzon_types::id::{AccountId, Epoch, GroupId, TenantId};
use buzon_types::time::Timestamp;

use crate::pb::directory::v1 as pb;
use crate::wire::{self, Wire, WireError};

impl From<&PlacementRow> for pb::Placement {
    fn from(row: &PlacementRow) -> Self {
        Self {
            account: row.account.0,
            tenant: row.tenant.0,
            address: row.address.to_string(),
            shard: row.shard.0,
            epoch: row.epoch.0,
            state: row.state as u32,
            created_at_ms: row.created_at.0,
        }
    }
}

impl TryFrom<pb::Placement> for PlacementRow {
    type Error = WireError;

    fn try_from(it: pb::Placement) -> Wire<Self> {
        let state = u8::try_from(it.state).ok().and_then(PlacementState::from_number);
        Ok(Self {
            account: AccountId(it.account),
            tenant: TenantId(it.tenant),
            address: wire::address(&it.address, "placement.address")?,
            shard: GroupId(it.shard),
            epoch: Epoch(it.epoch),
            state: wire::required(state, "placement.state")?,
            created_at: Timestamp(it.created_at_ms),
        })
    }
}
