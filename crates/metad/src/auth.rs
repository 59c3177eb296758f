//! Who may administer: whoever shows the bearer token.

use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::secret::Secret;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Lets calls through that carry the token.
#[derive(Debug, Clone)]
pub struct Bearer {
    token: Secret<String>,
}

impl Bearer {
    /// Only those who show it.
    pub fn new(token: Secret<String>) -> Self {
        Self { token }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let header = request.metadata().get("authorization").map(|value| value.as_bytes());
        let shown = header.and_then(|value| value.strip_prefix(b"Bearer "));
        match shown {
            Some(shown) if same(shown, self.token.expose().as_bytes()) => Ok(request),
            Some(_) => Err(CallError::new(ErrorCode::Unauthenticated, "token is wrong").into()),
            None => {
                Err(CallError::new(ErrorCode::Unauthenticated, "header authorization: Bearer is missing")
                    .into())
            }
        }
    }
}

/// Takes as long for a near miss as for a far one; only the length shows. An empty token fits nothing.
fn same(shown: &[u8], token: &[u8]) -> bool {
    if shown.len() != token.len() || token.is_empty() {
        return false;
    }
    let differing = shown.iter().zip(token).fold(0u8, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: Option<&str>, token: &str) -> bool {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        Bearer::new(Secret::new(token.to_owned())).call(request).is_ok()
    }

    #[test]
    fn only_the_token_gets_in() {
        assert!(check(Some("Bearer abc"), "abc"));
        assert!(!check(Some("Bearer abd"), "abc"));
        assert!(!check(Some("Bearer ab"), "abc"));
        assert!(!check(Some("abc"), "abc"));
        assert!(!check(None, "abc"));
        assert!(!check(Some("Bearer "), ""));
    }
}
