//! Compiles `proto/` without protoc. Bytes fields are slices of the received buffer, not copies.

use std::error::Error;
use std::path::Path;

/// raft.v1 belongs to the consensus crate.
const FILES: [&str; 10] = [
    "buzon/log/v1/value.proto",
    "buzon/log/v1/relocation.proto",
    "buzon/log/v1/log.proto",
    "buzon/log/v1/outcome.proto",
    "buzon/mail/v1/mail.proto",
    "buzon/directory/v1/directory.proto",
    "buzon/admin/v1/admin.proto",
    "buzon/admin/v1/cluster.proto",
    "buzon/import/v1/import.proto",
    "buzon/cluster/v1/cluster.proto",
];

/// Messages that hold a secret: their `Debug` is written by hand in `src/secret.rs`.
const SECRET: [&str; 6] = [
    ".buzon.log.v1.CreateAccount",
    ".buzon.log.v1.SetCredential",
    ".buzon.log.v1.ArrivingAccount",
    ".buzon.mail.v1.CredentialResponse",
    ".buzon.admin.v1.CreateAccountRequest",
    ".buzon.admin.v1.SetPasswordRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(SECRET)
        // Much larger than every other command, and seldom.
        .boxed(".buzon.log.v1.Command.command.arrive_page")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
