//! `Debug` of messages that hold a secret: everything but it.

use std::fmt;

use crate::pb::admin::v1::{CreateAccountRequest, SetPasswordRequest};
use crate::pb::log::v1::{ArrivingAccount, CreateAccount, SetCredential};
use crate::pb::mail::v1::CredentialResponse;

macro_rules! hide {
    ($message:ty, $name:literal, $($shown:ident),*) => {
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name)$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    };
}

hide!(CreateAccount, "CreateAccount", account, tenant, epoch, address, quota, uid_validity_seed);
hide!(SetCredential, "SetCredential", account);
hide!(ArrivingAccount, "ArrivingAccount", account, tenant, address, credential_version);
hide!(CredentialResponse, "CredentialResponse", index, version, state);
hide!(CreateAccountRequest, "CreateAccountRequest", tenant, address, quota);
hide!(SetPasswordRequest, "SetPasswordRequest", address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let request = SetPasswordRequest { address: "a@b.c".into(), password: Some("hunter2".into()) };
        let text = format!("{request:?}");
        assert!(text.contains("a@b.c") && !text.contains("hunter2"), "{text}");
    }
}
