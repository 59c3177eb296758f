//! Ids and values that every part shares. Each is checked once, where it is made, so that whoever holds one
//! need not check it again. Nothing here knows serialisation formats, storage or the network.

pub mod address;
pub mod body_ref;
pub mod flag;
pub mod id;
pub mod mailbox_name;
pub mod node;
pub mod request;
pub mod secret;
pub mod special_use;
pub mod staging;
pub mod time;
pub mod uid;
pub mod uid_set;
