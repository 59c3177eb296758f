//! Password checks that succeeded lately, so that a client with ten connections costs one argon2 and not ten.

use std::time::Duration;

use aws_lc_rs::hmac;
use buzon_types::id::{AccountId, CredentialVersion};
use buzon_types::secret::Secret;
use bytes::Bytes;
use moka::future::Cache;

/// 32 bytes each and some hundred of the cache's own.
const CHECKS_MAX: u64 = 100_000;
/// Sessions of one client come within minutes of each other.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// What is remembered: never the password, only a hash of it that means nothing outside of this process.
pub(super) type CheckKey = [u8; 32];

pub(super) struct KnownChecks {
    key: hmac::Key,
    checks: Cache<CheckKey, ()>,
}

impl KnownChecks {
    pub(super) fn new() -> Self {
        let secret: [u8; 32] = rand::random();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            checks: Cache::builder().max_capacity(CHECKS_MAX).time_to_live(KEPT).build(),
        }
    }

    /// All that the check depends on: another version is another key.
    pub(super) fn key(
        &self,
        account: AccountId,
        version: CredentialVersion,
        password: &Secret<Bytes>,
    ) -> CheckKey {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&account.0.to_be_bytes());
        context.update(&version.0.to_be_bytes());
        context.update(password.expose());
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    pub(super) fn contains(&self, key: &CheckKey) -> bool {
        self.checks.contains_key(key)
    }

    pub(super) async fn insert(&self, key: CheckKey) {
        self.checks.insert(key, ()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_is_known_for_this_account_version_and_password_alone() {
        let known = KnownChecks::new();
        let secret = |text: &'static str| Secret::new(Bytes::from_static(text.as_bytes()));
        let key = known.key(AccountId(1), CredentialVersion(2), &secret("x"));
        known.insert(key).await;
        assert!(known.contains(&known.key(AccountId(1), CredentialVersion(2), &secret("x"))));
        for other in [
            known.key(AccountId(2), CredentialVersion(2), &secret("x")),
            known.key(AccountId(1), CredentialVersion(3), &secret("x")),
            known.key(AccountId(1), CredentialVersion(2), &secret("y")),
            KnownChecks::new().key(AccountId(1), CredentialVersion(2), &secret("x")),
        ] {
            assert!(!known.contains(&other));
        }
    }
}
