//! The bound of the cache: drops what was least recently used.

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, MailboxKey, TenantId};

use crate::state::State;
use crate::state::account::Account;

/// Shrinking goes this part of the bound below it, so that it need not look at everything again with the next
/// entry.
const SLACK_PART: usize = 16;

enum Unit {
    Index(MailboxKey),
    Account(AccountId),
    Staged(AccountId, u128),
    Tenant(TenantId),
    TenantName(String),
    Domain(Domain),
    Address(Address),
    Placement(AccountId),
    AddressesOf(AccountId),
}

impl State {
    /// How much memory the rows take that can be dropped, nearly. Constant time.
    pub fn bytes(&self) -> usize {
        self.accounts.bytes() + self.staged.bytes() + self.directory.bytes()
    }

    /// Drops the least recently used rows if there are more than `bytes_max`. Not between `missing` and `decide`,
    /// and not before the changes absorbed so far are committed: what is dropped is read from SQL again.
    pub fn shrink(&mut self, bytes_max: usize) {
        if self.bytes() <= bytes_max {
            return;
        }
        self.directory.placement_counts = None;
        let mut units = self.units();
        units.sort_by_key(|(used, _)| *used);
        for (_, unit) in units {
            if self.bytes() <= bytes_max - bytes_max / SLACK_PART {
                break;
            }
            self.drop_unit(unit);
        }
    }

    fn units(&self) -> Vec<(u64, Unit)> {
        let mut units: Vec<(u64, Unit)> = Vec::new();
        units.extend(self.accounts.uses().map(|(used, &id)| (used, Unit::Account(id))));
        for account in self.loaded_accounts() {
            let loaded =
                account.mailboxes_in_any_state().filter(|it| it.index.is_some() || it.residue.is_some());
            units.extend(loaded.map(|mailbox| (mailbox.used.tick(), Unit::Index(mailbox.key()))));
        }
        units.extend(
            self.staged.uses().map(|(used, &(account, staging))| (used, Unit::Staged(account, staging))),
        );
        let directory = &self.directory;
        units.extend(directory.tenants.uses().map(|(used, &id)| (used, Unit::Tenant(id))));
        units
            .extend(directory.tenant_names.uses().map(|(used, name)| (used, Unit::TenantName(name.clone()))));
        units.extend(directory.domains.uses().map(|(used, domain)| (used, Unit::Domain(domain.clone()))));
        units
            .extend(directory.addresses.uses().map(|(used, address)| (used, Unit::Address(address.clone()))));
        units.extend(directory.placements.uses().map(|(used, &id)| (used, Unit::Placement(id))));
        units.extend(directory.addresses_of.uses().map(|(used, &id)| (used, Unit::AddressesOf(id))));
        units
    }

    fn drop_unit(&mut self, unit: Unit) {
        let directory = &mut self.directory;
        match unit {
            Unit::Index(key) => self.accounts.update(
                &key.account,
                |account| account.with_mailbox(key.mailbox, |it| (it.index, it.residue) = (None, None)),
                Account::bytes,
            ),
            Unit::Account(id) => self.accounts.forget(&id),
            Unit::Staged(account, staging) => self.staged.forget(&(account, staging)),
            Unit::Tenant(id) => directory.tenants.forget(&id),
            Unit::TenantName(name) => directory.tenant_names.forget(&name),
            Unit::Domain(domain) => directory.domains.forget(&domain),
            Unit::Address(address) => directory.addresses.forget(&address),
            Unit::Placement(id) => directory.placements.forget(&id),
            Unit::AddressesOf(id) => directory.addresses_of.forget(&id),
        }
    }
}
