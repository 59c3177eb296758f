//! Passwords become Argon2id hashes here and are never stored or logged in clear.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::secret::Secret;
use tokio::sync::Semaphore;

/// OWASP's recommendation for Argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes computed at a time: 19 MiB and a core each, beside the groups' work.
const HASHES_MAX: usize = 2;
/// Longest password, in bytes: longer ones are no passwords but load.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Hashes, a few at a time.
#[derive(Debug)]
pub(crate) struct Hasher {
    permits: Semaphore,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { permits: Semaphore::new(HASHES_MAX) }
    }

    /// The hash in PHC string form, with a random salt.
    pub(crate) async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, CallError> {
        if password.expose().is_empty() {
            return Err(CallError::new(ErrorCode::Invalid, "password is empty"));
        }
        if password.expose().len() > PASSWORD_BYTES_MAX {
            let message = format!("password is longer than {PASSWORD_BYTES_MAX} bytes");
            return Err(CallError::new(ErrorCode::Invalid, message));
        }
        let failed = |_| CallError::new(ErrorCode::Internal, "hash password");
        let _permit = self.permits.acquire().await.map_err(failed)?;
        let hash = tokio::task::spawn_blocking(move || phc(&password)).await;
        hash.ok().flatten().ok_or_else(|| CallError::new(ErrorCode::Internal, "hash password"))
    }
}

fn phc(password: &Secret<String>) -> Option<Secret<String>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.expose().as_bytes()).ok()?;
    Some(Secret::new(hash.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier;

    #[tokio::test]
    async fn hashes_verify_and_have_their_own_salt() {
        let hasher = Hasher::new();
        let first = hasher.hash(Secret::new("geheim".to_owned())).await.unwrap();
        let second = hasher.hash(Secret::new("geheim".to_owned())).await.unwrap();
        assert_ne!(first.expose(), second.expose());
        assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(Argon2::default().verify_password(b"geheim", first.expose().as_str()).is_ok());
        assert!(Argon2::default().verify_password(b"geheim ", first.expose().as_str()).is_err());
    }

    #[tokio::test]
    async fn empty_and_endless_passwords_are_refused() {
        let hasher = Hasher::new();
        assert_eq!(hasher.hash(Secret::new(String::new())).await.unwrap_err().code, ErrorCode::Invalid);
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert_eq!(hasher.hash(Secret::new(long)).await.unwrap_err().code, ErrorCode::Invalid);
    }
}
