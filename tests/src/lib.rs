//! A sandbox for tests of the whole: starts the real binary in a temporary folder on free loopback ports, talks to
//! it as its clients do, kills it, starts it again.

pub mod cluster;
pub mod disk;
pub mod http;
pub mod imap;
pub mod lmtp;
pub mod load;
pub mod net;
pub mod pki;
pub mod power_cut;
pub mod previous;
pub mod process;
pub mod s3;
pub mod seed;
pub mod server;
pub mod trial;
pub mod value;
pub mod wire;
