//! Logging in: who may, and nobody learns more than yes or no (RFC 9051 §6.2).
//!
//! ```text
//! address, password ─▶ directory: account ─▶ feed watched ─▶ credential (linearizable) ─▶ known check, or argon2id
//! ```
//! An unknown address takes as long and is answered the same as a wrong password. Checks that succeeded are
//! remembered under the credential's version, so that a changed password or a suspended account ends them (DESIGN
//! D12); the feed is watched before the credential is read, so that no change falls between.

mod known;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::MetaError;
use buzon_model::read::{CredentialRead, ReadAt};
use buzon_model::row::{AccountState, PlacementState};
use buzon_types::address::Address;
use buzon_types::id::{CredentialVersion, LogIndex};
use buzon_types::secret::Secret;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::meta_api::{MetaApi, Watching};
use known::KnownChecks;
use throttle::Throttle;

/// Longer passwords are no passwords, and hashing them takes time.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Checks passwords for all connections of a process.
pub(crate) struct Authenticator {
    meta: Arc<dyn MetaApi>,
    checks: Semaphore,
    known: KnownChecks,
    throttle: Throttle,
    /// A hash that no password fits, with the cost of a real one.
    decoy: Arc<str>,
}

/// Somebody who is in.
pub(crate) struct Admitted {
    pub(crate) account: AccountHandle,
    pub(crate) version: CredentialVersion,
    /// The state of the shard that the credential was read from.
    pub(crate) index: LogIndex,
    /// The account's events since before that.
    pub(crate) watch: Box<dyn Watching>,
}

/// Why somebody is not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// Address or password is wrong.
    #[error("address or password is wrong")]
    Wrong,
    /// All is right, but the account is suspended.
    #[error("account is suspended")]
    Suspended,
    /// It could not be checked.
    #[error("check credentials")]
    Meta(#[from] MetaError),
    /// The check did not come to its end.
    #[error("check password")]
    Check,
}

impl Authenticator {
    pub(crate) fn new(meta: Arc<dyn MetaApi>, checks_max: usize, failure_delay: Duration) -> Self {
        let decoy = Argon2::default().hash_password(&rand::random::<[u8; 16]>());
        let decoy = decoy.expect("hashing 16 bytes with default costs cannot fail").to_string();
        Self {
            meta,
            checks: Semaphore::new(checks_max),
            known: KnownChecks::new(),
            throttle: Throttle::new(failure_delay),
            decoy: decoy.into(),
        }
    }

    /// Lets somebody in, or not. A refusal is answered late, and later with each one of the same peer.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &Secret<Bytes>,
        peer: IpAddr,
    ) -> Result<Admitted, LoginError> {
        let result = self.check(user, password).await;
        match &result {
            Ok(_) => self.throttle.succeeded(peer).await,
            Err(LoginError::Wrong | LoginError::Suspended) => self.throttle.failed(peer).await,
            Err(LoginError::Meta(_) | LoginError::Check) => {}
        }
        result
    }

    async fn check(&self, user: &str, password: &Secret<Bytes>) -> Result<Admitted, LoginError> {
        let Some(account) = self.account(user).await? else {
            self.verify(&self.decoy, password).await?;
            return Err(LoginError::Wrong);
        };
        let watch = self.meta.watch(&account);
        let read = self.meta.credential(&account, ReadAt::Linearizable).await?;
        let credential = read.value;
        if !self.fits(&account, &credential, password).await? {
            return Err(LoginError::Wrong);
        }
        if credential.state != AccountState::Active {
            return Err(LoginError::Suspended);
        }
        Ok(Admitted { account, version: credential.version, index: read.index, watch })
    }

    async fn account(&self, user: &str) -> Result<Option<AccountHandle>, LoginError> {
        let Ok(address) = Address::new(user) else { return Ok(None) };
        let found = self.meta.resolve(&address).await?;
        Ok(found.filter(|account| account.state == PlacementState::Active))
    }

    async fn fits(
        &self,
        account: &AccountHandle,
        credential: &CredentialRead,
        password: &Secret<Bytes>,
    ) -> Result<bool, LoginError> {
        let Some(hash) = &credential.credential else {
            self.verify(&self.decoy, password).await?;
            return Ok(false);
        };
        let key = self.known.key(account.account, credential.version, password);
        if self.known.contains(&key) {
            return Ok(true);
        }
        let fits = self.verify(&Arc::from(hash.expose().as_str()), password).await?;
        if fits {
            self.known.insert(key).await;
        }
        Ok(fits)
    }

    async fn verify(&self, hash: &Arc<str>, password: &Secret<Bytes>) -> Result<bool, LoginError> {
        if password.expose().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let _place = self.checks.acquire().await.map_err(|_| LoginError::Check)?;
        let (hash, password) = (Arc::clone(hash), password.clone());
        let check = move || Argon2::default().verify_password(password.expose(), &*hash).is_ok();
        tokio::task::spawn_blocking(check).await.map_err(|_| LoginError::Check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_hash_is_verified_and_the_decoy_fits_nothing() {
        let hash = Argon2::default().hash_password(b"secret").unwrap().to_string();
        let fits = |password: &[u8], hash: &str| Argon2::default().verify_password(password, hash).is_ok();
        assert!(fits(b"secret", &hash) && !fits(b"Secret", &hash) && !fits(b"secret", "no hash"));
    }
}
