//! Which rows a command must see. Asked again after each load, since one row may lead to another.

use buzon_types::id::{AccountId, MailboxKey};

use crate::command::{ClusterCommand, Command, DirectoryCommand, ShardCommand};
use crate::scope::Need;
use crate::state::State;

impl State {
    /// Rows that [`crate::decide::decide`] must see for this command and that are not loaded. Load and insert
    /// them, then ask again, until there are none. Marks what is loaded as used.
    pub fn missing(&self, command: &Command) -> Vec<Need> {
        let needs = match command {
            Command::Directory(command) if self.is_directory() => self.directory_needs(command),
            Command::Cluster(command) if self.is_directory() => self.cluster_needs(command),
            Command::Shard(command) if !self.is_directory() => self.shard_needs(command),
            _ => Vec::new(),
        };
        self.missing_of(&needs)
    }

    /// Those of these that are not loaded, each once; an index also needs its account, which comes first. Rows of
    /// what does not exist are never missing. Marks what is loaded as used.
    pub fn missing_of(&self, needs: &[Need]) -> Vec<Need> {
        let mut missing: Vec<Need> = Vec::new();
        for need in needs {
            if let Some(need) = self.missing_for(need)
                && !missing.contains(&need)
            {
                missing.push(need);
            }
        }
        missing
    }

    /// Marks a mailbox and its account as used now.
    pub fn touch(&self, key: MailboxKey) {
        if self.accounts.knows(&key.account, &self.uses)
            && let Some(mailbox) =
                self.accounts.get(&key.account).and_then(|it| it.mailbox_in_any_state(key.mailbox))
        {
            mailbox.used.mark(&self.uses);
        }
    }

    fn missing_for(&self, need: &Need) -> Option<Need> {
        let directory = &self.directory;
        let is_known = match need {
            Need::Account(id) => self.accounts.knows(id, &self.uses),
            Need::Index(key) | Need::Residue(key) => return self.missing_in_mailbox(need, *key),
            Need::Staging(account, staging) => self.staged.knows(&(*account, *staging), &self.uses),
            Need::Tenant(id) => directory.tenants.knows(id, &self.uses),
            Need::TenantName(name) => {
                directory.tenant_names.knows(name, &self.uses)
                    && directory
                        .tenant_names
                        .get(name)
                        .is_none_or(|id| directory.tenants.knows(id, &self.uses))
            }
            Need::Domain(domain) => directory.domains.knows(domain, &self.uses),
            Need::Address(address) => directory.addresses.knows(address, &self.uses),
            Need::Placement(account) => directory.placements.knows(account, &self.uses),
            Need::AddressesOf(account) => directory.addresses_of.knows(account, &self.uses),
            Need::PlacementCounts => directory.placement_counts.is_some(),
        };
        (!is_known).then(|| need.clone())
    }

    fn missing_in_mailbox(&self, need: &Need, key: MailboxKey) -> Option<Need> {
        if !self.accounts.contains(&key.account) {
            return Some(Need::Account(key.account));
        }
        self.touch(key);
        let account = self.accounts.get(&key.account)?;
        let mailbox = account.mailbox_in_any_state(key.mailbox)?;
        let is_missing = match need {
            Need::Index(_) => self.is_live(key) && mailbox.index.is_none(),
            _ => account.is_residue(mailbox) && mailbox.residue.is_none(),
        };
        is_missing.then(|| need.clone())
    }

    fn shard_needs(&self, command: &ShardCommand) -> Vec<Need> {
        let mut needs: Vec<Need> = command.accounts().into_iter().map(Need::Account).collect();
        match command {
            ShardCommand::StoreFlags(store) => needs.push(Need::Index(store.mailbox)),
            ShardCommand::Expunge { mailbox, .. } => needs.push(Need::Index(*mailbox)),
            ShardCommand::Copy(transfer) | ShardCommand::Move(transfer) => {
                needs.push(Need::Index(transfer.source));
            }
            ShardCommand::StageCopy { staging, transfer } => {
                needs.push(Need::Index(transfer.source));
                needs.push(Need::Staging(transfer.source.account, *staging));
            }
            ShardCommand::PublishCopy { account, staging, .. }
            | ShardCommand::DropCopy { account, staging } => {
                needs.push(Need::Staging(*account, *staging));
            }
            ShardCommand::PurgeMailbox(key) => needs.push(Need::Residue(*key)),
            ShardCommand::PurgeAccount(id) => needs.extend(self.first_residue(*id)),
            _ => {}
        }
        needs
    }

    /// PurgeAccount takes one mailbox at a time, in the order of ids.
    fn first_residue(&self, id: AccountId) -> Option<Need> {
        let account = self.accounts.get(&id).filter(|account| !account.row.is_held())?;
        account.mailboxes_in_any_state().next().map(|mailbox| Need::Residue(mailbox.key()))
    }

    fn directory_needs(&self, command: &DirectoryCommand) -> Vec<Need> {
        match command {
            DirectoryCommand::CreateTenant { name, .. } => vec![Need::TenantName(name.clone())],
            DirectoryCommand::SetTenantLimits { tenant, .. } | DirectoryCommand::DeleteTenant(tenant) => {
                vec![Need::Tenant(*tenant)]
            }
            DirectoryCommand::AddDomain { tenant, domain }
            | DirectoryCommand::RemoveDomain { tenant, domain } => {
                vec![Need::Tenant(*tenant), Need::Domain(domain.clone())]
            }
            DirectoryCommand::PlaceAccount { tenant, address, .. } => {
                let mut needs = vec![Need::Tenant(*tenant), Need::Domain(address.domain().clone())];
                needs.push(Need::Address(address.clone()));
                needs.extend(self.address(address).map(|row| Need::Placement(row.account)));
                needs
            }
            DirectoryCommand::ActivateAccount(account) | DirectoryCommand::BeginDeleteAccount(account) => {
                vec![Need::Placement(*account)]
            }
            DirectoryCommand::BeginMove { account, .. } => vec![Need::Placement(*account)],
            DirectoryCommand::CommitMove(step)
            | DirectoryCommand::AbortMove(step)
            | DirectoryCommand::FinishMove(step) => vec![Need::Placement(step.account)],
            DirectoryCommand::FinishDeleteAccount(account) => self.finish_delete_needs(*account),
            DirectoryCommand::AddAlias { address, account } => vec![
                Need::Placement(*account),
                Need::Domain(address.domain().clone()),
                Need::Address(address.clone()),
            ],
            DirectoryCommand::RemoveAlias { address } => {
                let mut needs = vec![Need::Domain(address.domain().clone()), Need::Address(address.clone())];
                needs.extend(self.address(address).map(|row| Need::Placement(row.account)));
                needs
            }
        }
    }

    /// Nodes and shards are always loaded.
    fn cluster_needs(&self, command: &ClusterCommand) -> Vec<Need> {
        let founds = matches!(command, ClusterCommand::FoundCluster(_)) && !self.is_founded();
        if founds { vec![Need::PlacementCounts] } else { Vec::new() }
    }

    fn finish_delete_needs(&self, account: AccountId) -> Vec<Need> {
        let mut needs = vec![Need::Placement(account), Need::AddressesOf(account)];
        needs.extend(self.placement(account).map(|row| Need::Tenant(row.tenant)));
        let addresses = self.addresses_of(account).into_iter().flatten();
        needs.extend(addresses.map(|address| Need::Domain(address.domain().clone())));
        needs
    }
}
