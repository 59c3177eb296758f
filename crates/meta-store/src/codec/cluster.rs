//! Nodes, shards and moves. The order of columns is that of `table`.

use buzon_model::row::{MoveRow, MoveState, NodeRow, NodeState, ShardRow};
use buzon_types::id::{AccountId, Epoch, GroupId, Incarnation, NodeId};
use buzon_types::node::{NodeAddress, Zone};

use super::{corrupt, list, list_to_bytes, narrow, text, time, unsigned, wide};
use crate::cell::{Cells, Rows};
use crate::error::StoreError;

pub(crate) fn put_node(rows: &mut Rows, row: &NodeRow) {
    rows.row()
        .unsigned(row.id.0)
        .text(row.address.as_str())
        .text_or_null(row.zone.as_ref().map(ToString::to_string))
        .int(row.state as u8)
        .wide(row.incarnation.0)
        .int(row.added_at.0);
}

pub(crate) fn node(cells: &dyn Cells) -> Result<NodeRow, StoreError> {
    let state: u8 = narrow(cells, 3, "cluster_node.state")?;
    let address = NodeAddress::new(text(cells, 1, "cluster_node.address")?);
    let zone = cells.text(2)?.map(Zone::new).transpose();
    Ok(NodeRow {
        id: NodeId(unsigned(cells, 0, "cluster_node.id")?),
        address: address.map_err(|_| corrupt("cluster_node.address"))?,
        zone: zone.map_err(|_| corrupt("cluster_node.zone"))?,
        state: NodeState::from_number(state).ok_or_else(|| corrupt("cluster_node.state"))?,
        incarnation: Incarnation(wide(cells, 4, "cluster_node.incarnation")?),
        added_at: time(cells, 5, "cluster_node.added_at")?,
    })
}

pub(crate) fn put_shard(rows: &mut Rows, row: &ShardRow) {
    let voters = list_to_bytes(row.voters.iter().map(|node| node.0));
    rows.row().unsigned(row.group.0).bytes(voters).unsigned(row.accounts);
}

pub(crate) fn shard(cells: &dyn Cells) -> Result<ShardRow, StoreError> {
    Ok(ShardRow {
        group: GroupId(unsigned(cells, 0, "cluster_shard.group_id")?),
        voters: list(cells, 1, "cluster_shard.voters")?.into_iter().map(NodeId).collect(),
        accounts: unsigned(cells, 2, "cluster_shard.accounts")?,
    })
}

pub(crate) fn put_move(rows: &mut Rows, row: &MoveRow) {
    rows.row()
        .unsigned(row.account.0)
        .unsigned(row.from.0)
        .unsigned(row.to.0)
        .unsigned(row.epoch.0)
        .int(row.state as u8)
        .int(row.began_at.0);
}

pub(crate) fn pending_move(cells: &dyn Cells) -> Result<MoveRow, StoreError> {
    let state: u8 = narrow(cells, 4, "account_move.state")?;
    Ok(MoveRow {
        account: AccountId(unsigned(cells, 0, "account_move.account")?),
        from: GroupId(unsigned(cells, 1, "account_move.from_shard")?),
        to: GroupId(unsigned(cells, 2, "account_move.to_shard")?),
        epoch: Epoch(unsigned(cells, 3, "account_move.epoch")?),
        state: MoveState::from_number(state).ok_or_else(|| corrupt("account_move.state"))?,
        began_at: time(cells, 5, "account_move.began_at")?,
    })
}
