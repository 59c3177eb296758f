//! A password from a file or from standard input.

use std::io::Read;

use anyhow::{Context, ensure};
use buzon_types::secret::Secret;

use crate::cli::PasswordSource;

/// Longest password; more would only cost hashing.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Reads it; one line end at its end is not part of it.
pub(super) fn read(source: &PasswordSource) -> anyhow::Result<Secret<String>> {
    let text = match &source.password_file {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("read password {}", path.display()))?
        }
        None => {
            let mut text = String::new();
            let bytes_max = PASSWORD_BYTES_MAX as u64 + 3;
            std::io::stdin()
                .lock()
                .take(bytes_max)
                .read_to_string(&mut text)
                .context("read password from standard input")?;
            text
        }
    };
    let password = text.strip_suffix('\n').map_or(text.as_str(), |it| it.strip_suffix('\r').unwrap_or(it));
    ensure!(!password.is_empty(), "password is empty");
    ensure!(password.len() <= PASSWORD_BYTES_MAX, "password is longer than {PASSWORD_BYTES_MAX} bytes");
    ensure!(!password.contains(['\n', '\0']), "password has more than one line or a NUL");
    Ok(Secret::new(password.to_owned()))
}
