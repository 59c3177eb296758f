//! The directory's rows in memory.

use std::collections::{BTreeMap, BTreeSet};

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, GroupId, NodeId, TenantId};

use crate::cache::{Cache, Used};
use crate::change::Change;
use crate::row::{
    AddressRow, DirectoryCounters, DomainRow, MoveRow, NodeRow, PlacementRow, ShardRow, TenantRow,
};
use crate::scope::Loaded;

/// A row with its address or name, nearly.
const ROW_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) counters: DirectoryCounters,
    /// All of them, always: few, and asked for all at once.
    pub(super) nodes: BTreeMap<NodeId, NodeRow>,
    pub(super) shards: BTreeMap<GroupId, ShardRow>,
    pub(super) moves: BTreeMap<AccountId, MoveRow>,
    /// Good until the next change of a placement.
    pub(super) placement_counts: Option<BTreeMap<GroupId, u64>>,
    pub(super) tenants: Cache<TenantId, TenantRow>,
    pub(super) tenant_names: Cache<String, TenantId>,
    pub(super) domains: Cache<Domain, DomainRow>,
    pub(super) addresses: Cache<Address, AddressRow>,
    pub(super) placements: Cache<AccountId, PlacementRow>,
    pub(super) addresses_of: Cache<AccountId, BTreeSet<Address>>,
}

impl Directory {
    pub(super) fn new(
        counters: DirectoryCounters,
        nodes: Vec<NodeRow>,
        shards: Vec<ShardRow>,
        moves: Vec<MoveRow>,
    ) -> Self {
        // Ids are counted from 1, whatever an empty row says.
        let first = DirectoryCounters::default();
        let counters = DirectoryCounters {
            next_tenant: counters.next_tenant.max(first.next_tenant),
            next_account: counters.next_account.max(first.next_account),
            next_node: counters.next_node.max(first.next_node),
            next_group: counters.next_group.max(first.next_group),
            voters_per_shard: counters.voters_per_shard,
        };
        Self {
            counters,
            nodes: nodes.into_iter().map(|row| (row.id, row)).collect(),
            shards: shards.into_iter().map(|row| (row.group, row)).collect(),
            moves: moves.into_iter().map(|row| (row.account, row)).collect(),
            placement_counts: None,
            tenants: Cache::default(),
            tenant_names: Cache::default(),
            domains: Cache::default(),
            addresses: Cache::default(),
            placements: Cache::default(),
            addresses_of: Cache::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.tenants.bytes()
            + self.tenant_names.bytes()
            + self.domains.bytes()
            + self.addresses.bytes()
            + self.placements.bytes()
            + self.addresses_of.bytes()
    }

    pub(super) fn insert(&mut self, loaded: Loaded, uses: &Used) {
        match loaded {
            Loaded::Tenant(id, row) => put_if_new(&mut self.tenants, id, row, uses),
            Loaded::TenantName(name, row) => {
                put_if_new(&mut self.tenant_names, name, row.as_ref().map(|row| row.id), uses);
                if let Some(row) = row {
                    put_if_new(&mut self.tenants, row.id, Some(row), uses);
                }
            }
            Loaded::Domain(domain, row) => put_if_new(&mut self.domains, domain, row, uses),
            Loaded::Address(address, row) => put_if_new(&mut self.addresses, address, row, uses),
            Loaded::Placement(account, row) => put_if_new(&mut self.placements, account, row, uses),
            Loaded::AddressesOf(account, rows) => {
                let bytes = rows.len() * ROW_BYTES;
                if !self.addresses_of.contains(&account) {
                    let addresses = rows.into_iter().map(|row| row.address).collect();
                    self.addresses_of.put(account, Some(addresses), bytes, uses);
                }
            }
            Loaded::PlacementCounts(counts) => self.placement_counts = Some(counts),
            _ => {}
        }
    }

    /// A row that is put is whole, so it is known from then on; a row that goes is known to be absent.
    pub(super) fn absorb(&mut self, change: &Change, uses: &Used) {
        match change {
            Change::PutTenant(row) => {
                self.tenants.put(row.id, Some(row.clone()), ROW_BYTES, uses);
                self.tenant_names.put(row.name.clone(), Some(row.id), ROW_BYTES, uses);
            }
            Change::RemoveTenant(id) => {
                let named = self.tenant_names.iter().find(|(_, named)| *named == id);
                if let Some(name) = named.map(|(name, _)| name.clone()) {
                    self.tenant_names.put(name, None, 0, uses);
                }
                self.tenants.put(*id, None, 0, uses);
            }
            Change::PutDomain(row) => {
                self.domains.put(row.domain.clone(), Some(row.clone()), ROW_BYTES, uses)
            }
            Change::RemoveDomain(domain) => self.domains.put(domain.clone(), None, 0, uses),
            Change::PutPlacement(row) => {
                self.placement_counts = None;
                self.placements.put(row.account, Some(row.clone()), ROW_BYTES, uses);
            }
            Change::RemovePlacement(account) => {
                self.placement_counts = None;
                self.placements.put(*account, None, 0, uses);
            }
            Change::PutNode(row) => drop(self.nodes.insert(row.id, row.clone())),
            Change::PutShard(row) => {
                self.placement_counts = None;
                self.shards.insert(row.group, row.clone());
            }
            Change::PutMove(row) => drop(self.moves.insert(row.account, row.clone())),
            Change::RemoveMove(account) => drop(self.moves.remove(account)),
            Change::PutAddress(row) => {
                self.addresses.put(row.address.clone(), Some(row.clone()), ROW_BYTES, uses);
                let add = |of: &mut BTreeSet<Address>| of.extend([row.address.clone()]);
                self.addresses_of.update(&row.account, add, |of| of.len() * ROW_BYTES);
            }
            Change::RemoveAddress(address) => self.remove_address(address, uses),
            Change::SetDirectoryCounters(counters) => self.counters = *counters,
            _ => {}
        }
    }

    fn remove_address(&mut self, address: &Address, uses: &Used) {
        let owner = self.addresses.get(address).map(|row| row.account);
        // Not loaded by itself: look for it in the lists that are. Only then it costs a scan.
        let owner = owner.or_else(|| {
            self.addresses_of.iter().find(|(_, of)| of.contains(address)).map(|(&account, _)| account)
        });
        if let Some(owner) = owner {
            self.addresses_of.update(&owner, |of| of.retain(|it| it != address), |of| of.len() * ROW_BYTES);
        }
        self.addresses.put(address.clone(), None, 0, uses);
    }
}

fn put_if_new<K: Ord + Clone, V>(cache: &mut Cache<K, V>, key: K, row: Option<V>, uses: &Used) {
    if !cache.contains(&key) {
        let bytes = row.as_ref().map_or(0, |_| ROW_BYTES);
        cache.put(key, row, bytes, uses);
    }
}
