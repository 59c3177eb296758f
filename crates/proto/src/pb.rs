//! Generated from `proto/`; the prose is there.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

/// Log entries and their outcomes.
pub mod log {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.log.v1");
    }
}
/// What front ends ask of shards.
pub mod mail {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.mail.v1");
    }
}
/// Where accounts live.
pub mod directory {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.directory.v1");
    }
}
/// What operators ask for.
pub mod admin {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.admin.v1");
    }
}
/// Bringing in existing mail.
pub mod import {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.import.v1");
    }
}
/// What metadata nodes ask of each other.
pub mod cluster {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("buzon.cluster.v1");
    }
}
