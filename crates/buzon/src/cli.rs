//! The command line. Secrets are read from files or standard input, never from arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{ListenOn, Role};

/// Multi-tenant mail store: IMAP and LMTP over replicated metadata and object storage.
#[derive(Debug, Parser)]
#[command(name = "buzon", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process: front-end, metadata, bodies in a folder.
    Standalone(Standalone),
    /// A metadata node of a cluster.
    Metad(Node),
    /// IMAP and LMTP for a cluster.
    Frontend(Node),
    /// Makes the certificates with which the nodes of a cluster know each other.
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Administers a running server.
    Ctl(Ctl),
    /// Brings mail from files into an account.
    Import(Import),
    /// Looks at configurations.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Standalone {
    /// Where everything is kept [default: ./buzon-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Makes the account ana@example.com with a dozen messages and says how to connect.
    #[arg(long)]
    pub(crate) demo: bool,
    /// IMAP over TLS: ADDRESS:PORT or `off`.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) imaps_listen: Option<ListenOn>,
    /// IMAP with STARTTLS.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) imap_listen: Option<ListenOn>,
    /// LMTP.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) lmtp_listen: Option<ListenOn>,
    /// gRPC for `buzon ctl`.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin_listen: Option<ListenOn>,
    /// /livez, /readyz, /metrics.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) http_listen: Option<ListenOn>,
}

/// A process of a cluster.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PkiCommand {
    /// Makes a CA in a folder: ca.pem, and ca-key.pem, which only this command needs.
    Init {
        /// Folder; made if it is not there.
        dir: PathBuf,
    },
    /// Signs a certificate for a node: NAME.pem and NAME-key.pem in the CA's folder.
    Issue {
        /// The CA's folder.
        dir: PathBuf,
        /// What the node is.
        #[arg(long, value_enum)]
        role: PkiRole,
        /// What the files are called.
        #[arg(long)]
        name: String,
        /// Names and IP addresses under which it is reached; may be repeated.
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PkiRole {
    Metad,
    Frontend,
}

/// How to reach the admin service.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// Data directory of a standalone server on this machine: holds endpoint, token and CA.
    #[arg(long, value_name = "DIR", default_value = "./buzon-data", global = true)]
    pub(crate) data_dir: PathBuf,
    /// Admin service, like https://host:7070.
    #[arg(long, value_name = "URL", requires = "token_file", global = true)]
    pub(crate) endpoint: Option<String>,
    /// File with the admin token.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file with the CA that signed the server's certificate.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Ctl {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// One JSON document instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// The cluster as a whole.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Customers of the provider.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Domains of a tenant.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Accounts: people with mail.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Mailboxes of an account.
    #[command(subcommand)]
    Mailbox(MailboxCommand),
    /// Metadata nodes of a cluster.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Raft groups of a cluster.
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Looks at once whether replicas and leaders are where they shall be; says what is still to be moved.
    Rebalance,
    /// Versions and feature levels.
    #[command(subcommand)]
    Upgrade(UpgradeCommand),
    /// The server and its raft groups.
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// All nodes with what they carry.
    List,
    /// Gives a node that was started empty an id; replicas follow. May be repeated.
    Add {
        /// HOST:PORT of its internal listener, as its cluster.address says.
        address: String,
        /// Its failure domain [default: what its own configuration says].
        #[arg(long)]
        zone: Option<String>,
        /// The node whose disk is lost: it is removed, and this one takes its place.
        #[arg(long, value_name = "ID")]
        replaces: Option<u64>,
    },
    /// Its replicas and leaderships go to other nodes.
    Drain {
        id: u64,
        /// Even if fewer active nodes are left than a shard shall have voters.
        #[arg(long)]
        allow_fewer_voters: bool,
        /// Until they are gone.
        #[arg(long)]
        wait: bool,
        /// Seconds to wait at most.
        #[arg(long, default_value_t = 3600)]
        timeout: u64,
    },
    /// It takes replicas again.
    Undrain { id: u64 },
    /// Drains it, waits until its replicas are gone, and removes it for good.
    Remove {
        id: u64,
        /// Even if fewer active nodes are left than a shard shall have voters.
        #[arg(long)]
        allow_fewer_voters: bool,
        /// Seconds to wait at most.
        #[arg(long, default_value_t = 3600)]
        timeout: u64,
    },
    /// The others reach it there from now on: its name or port has changed, its disk has not. If it leads the directory, only
    /// the node itself can be asked.
    SetAddress {
        id: u64,
        /// HOST:PORT, as its cluster.address says.
        address: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShardCommand {
    /// All groups; 0 is the directory.
    List,
    /// One group's replicas.
    Show { group: u64 },
    /// So many more. New accounts go to the emptiest shards.
    Add { count: u32 },
    /// Gives a replica that is in quarantine the rows of another member.
    Refill {
        group: u64,
        /// The replica's node.
        #[arg(long)]
        node: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpgradeCommand {
    /// What runs where, and what all nodes know.
    Status,
    /// Raises all groups to what every node knows. Versions that do not know it cannot come back.
    Finalize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Founds a cluster of new metadata nodes. May be repeated with the same nodes.
    Init {
        /// HOST:PORT of each node's internal listener, as its cluster.address says.
        #[arg(long, value_delimiter = ',', required = true)]
        nodes: Vec<String>,
        /// Shards to begin with; more can be added later.
        #[arg(long, default_value_t = 16)]
        shards: u32,
        /// Voters of each group: 1, 3 or 5 [default: 3, or 1 with fewer than three nodes].
        #[arg(long)]
        voters: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Makes a tenant.
    Create {
        name: String,
        /// It may have no more accounts than this.
        #[arg(long)]
        accounts_max: Option<u64>,
    },
    /// All tenants.
    List,
    /// One tenant with its domains.
    Show { name: String },
    /// Only when it has neither accounts nor domains.
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Gives a domain to a tenant.
    Add { tenant: String, domain: String },
    /// All domains, or those of one tenant.
    List { tenant: Option<String> },
    /// Only when no address is left in it.
    Remove { tenant: String, domain: String },
}

/// A password comes from a file or from standard input; its last line end is dropped.
#[derive(Debug, Clone, Args)]
pub(crate) struct PasswordSource {
    /// File that holds the password; standard input when it is not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Makes an account; its domain says whose.
    Create {
        address: String,
        #[command(flatten)]
        password: PasswordSource,
        /// May hold so many bytes, like 5GiB.
        #[arg(long, value_parser = parse_bytes)]
        quota: Option<u64>,
        /// May hold so many messages.
        #[arg(long)]
        quota_messages: Option<u64>,
    },
    /// All accounts, or those of one tenant.
    List { tenant: Option<String> },
    /// One account: what it holds, where it lives.
    Show { address: String },
    /// A new password. Open sessions end.
    Passwd {
        address: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Nobody logs in any more; mail still comes in. Open sessions end.
    Suspend { address: String },
    /// Lets the person log in again.
    Resume { address: String },
    /// What it may hold; without values, no limits.
    Quota {
        address: String,
        /// Bytes, like 5GiB.
        #[arg(long, value_parser = parse_bytes)]
        bytes: Option<u64>,
        /// Messages.
        #[arg(long)]
        messages: Option<u64>,
    },
    /// Other addresses that lead to it.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Moves the account to another shard while it is in use.
    Move {
        address: String,
        /// Where to.
        #[arg(long)]
        shard: u64,
    },
    /// Removes the account and all its mail.
    Delete {
        address: String,
        /// Deletes without asking.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// One more address.
    Add { address: String, alias: String },
    /// All of them.
    List { address: String },
    /// Takes one back.
    Remove { alias: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MailboxCommand {
    /// With what they hold.
    List { account: String },
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// What the files are.
    #[arg(value_enum)]
    pub(crate) format: ImportFormat,
    /// An mbox file, or the top folder of a maildir.
    pub(crate) file: PathBuf,
    /// The account's address.
    pub(crate) account: String,
    /// Mailbox for the messages; a maildir's subfolders go below it.
    #[arg(long, default_value = "INBOX")]
    pub(crate) mailbox: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    Mbox,
    Maildir,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Reads a file as the server would and says what is wrong with it.
    Check {
        file: PathBuf,
        /// For a process of this kind.
        #[arg(long, value_enum, default_value_t = Role::Standalone)]
        role: Role,
    },
    /// The configuration in effect: file, then environment. Holds no secrets.
    Show {
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// `1500`, `10MB`, `5GiB`.
fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let lower = text.to_ascii_lowercase();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(&unit.to_ascii_lowercase())?, *factor)))
        .unwrap_or((&lower, 1));
    let bad = || format!("`{text}` is no size: write it like 500MB or 5GiB");
    let number: u64 = digits.trim().parse().map_err(|_| bad())?;
    number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("5GiB"), Ok(5 << 30));
        assert_eq!(parse_bytes("10 mb"), Ok(10_000_000));
        assert_eq!(parse_bytes("77"), Ok(77));
        assert!(parse_bytes("much").is_err() && parse_bytes("99999999999TiB").is_err());
    }
}
