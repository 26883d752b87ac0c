//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};
use floe_model::{NodeName, RecordHash};

/// Recoverable blob storage: what is missing can always be rebuilt.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 not enough nodes, 4 not found or forbidden.
#[derive(Debug, Parser)]
#[command(name = "floe", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// How it is logged.
    #[command(flatten)]
    pub(crate) log: LogArguments,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is logged on standard error, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArguments {
    /// What is logged, such as `info` or `warn,floe_sidecar=debug` [default: info for servers, warn for the rest]
    #[arg(
        long = "log",
        global = true,
        env = "RUST_LOG",
        value_name = "FILTER",
        hide_env_values = true
    )]
    pub(crate) filter: Option<String>,
    /// Log lines as JSON
    #[arg(long = "log-json", global = true, env = "FLOE_LOG_JSON", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a file as a blob, under its own name unless another is given
    Put(PutArguments),
    /// Write a blob to a file, or to standard output
    Get(GetArguments),
    /// List the blobs of a namespace
    Ls(LsArguments),
    /// Release a blob
    Rm(RmArguments),
    /// Bring back a released blob, as long as it is kept
    Undelete(UndeleteArguments),
    /// Show what is known of a blob
    Stat(StatArguments),
    /// Show the committee: nodes, what they owe and hold, what data and writes survive
    Status(StatusArguments),
    /// Compute the blob id of a file; nothing is sent
    Id(IdArguments),
    /// Run a whole committee and its gateway in this process
    Standalone(StandaloneArguments),
    /// Make or form a committee of separate processes
    Committee(CommitteeArguments),
    /// Run one storage node
    Sidecar(ServerArguments),
    /// Run a gateway
    Gateway(ServerArguments),
    /// Rebuild what a node lacks since it got a new volume or more shards
    Repair(RepairArguments),
    /// Bring a file to the gateway, with the operator's ticket in place of a token
    Import(ImportArguments),
    /// Look after the Committees and Blobs of a Kubernetes cluster
    Operator(OperatorArguments),
}

/// Where the gateway is, and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayArguments {
    /// The gateway's address, such as `https://127.0.0.1:8443`; the file `client.env` of a
    /// committee's directory sets it for a shell, and the two below
    #[arg(long, env = "FLOE_URL", value_name = "URL")]
    pub(crate) url: String,
    /// File with the gateway's certificate authority
    #[arg(long, env = "FLOE_CA", value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// File with the bearer token
    #[arg(long, env = "FLOE_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The bearer token itself
    #[arg(long, env = "FLOE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The namespace of names that have none
    #[arg(long, short, env = "FLOE_NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `floe put`.
#[derive(Debug, Args)]
pub(crate) struct PutArguments {
    /// `[[NAMESPACE/]NAME] FILE`; `-` reads standard input and wants a name
    #[arg(value_name = "[NAME] FILE", num_args = 1..=2, required = true)]
    pub(crate) words: Vec<String>,
    /// Media type of the content
    #[arg(long, default_value = "application/octet-stream")]
    pub(crate) content_type: String,
    /// Where to.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe get`.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// `[NAMESPACE/]NAME`
    pub(crate) blob: String,
    /// File to write; `-`, the default, is standard output
    #[arg(default_value = "-")]
    pub(crate) file: String,
    /// Bytes `FIRST-LAST`, `FIRST-` or `-COUNT`
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) range: Option<String>,
    /// Where from.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    /// The namespace [default: that of --namespace]
    #[arg(value_name = "NAMESPACE")]
    pub(crate) which: Option<String>,
    /// Where.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// `[NAMESPACE/]NAME`
    pub(crate) blob: String,
    /// Release the name from a write that was never finished
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe undelete`.
#[derive(Debug, Args)]
pub(crate) struct UndeleteArguments {
    /// `[NAMESPACE/]NAME`
    pub(crate) blob: String,
    /// Where.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe stat`.
#[derive(Debug, Args)]
pub(crate) struct StatArguments {
    /// `[NAMESPACE/]NAME`
    pub(crate) blob: String,
    /// Where.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Where.
    #[command(flatten)]
    pub(crate) gateway: GatewayArguments,
}

/// `floe id`.
#[derive(Debug, Args)]
pub(crate) struct IdArguments {
    /// The file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Shards of the committee: an id depends on them
    #[arg(long, default_value_t = 10)]
    pub(crate) shards: u16,
    /// Faulty shards the committee tolerates [default: (shards - 1) / 3]
    #[arg(long)]
    pub(crate) max_faulty_shards: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A committee on this machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct SizeArguments {
    /// Storage nodes, from 4 up [default: 4, or as many as the directory holds]
    #[arg(long)]
    pub(crate) nodes: Option<u16>,
    /// Shards, for the committee's life [default: 10, or as many as the directory holds]
    #[arg(long)]
    pub(crate) shards: Option<u16>,
    /// Where all of it lives
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Where the gateway listens [default: 127.0.0.1:8443, or as before]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// The first of consecutive addresses: one per node (ports 7443 and 9090), then one for the
    /// gateway's metrics (9090) [default: drawn from 127.0.0.0/8, or as before]
    #[arg(long, value_name = "IP")]
    pub(crate) first_address: Option<IpAddr>,
    /// What holds for all blobs.
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
}

/// What holds for all blobs of a committee, from its start on.
#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyArguments {
    /// How long released content is kept and can be brought back, such as `90s` or `7d` [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) undelete_window: Option<Duration>,
    /// How long releases are kept, so that no node brings back what was released [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) release_retention: Option<Duration>,
}

/// `floe standalone`.
#[derive(Debug, Args)]
pub(crate) struct StandaloneArguments {
    /// What to run.
    #[command(flatten)]
    pub(crate) size: SizeArguments,
    /// How its chain goes on.
    #[command(flatten)]
    pub(crate) loss: LossArguments,
    /// When to end.
    #[command(flatten)]
    pub(crate) end: EndArguments,
}

/// `floe committee`.
#[derive(Debug, Args)]
pub(crate) struct CommitteeArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CommitteeCommand,
}

/// When a volume is lost.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LossArguments {
    /// A node that has not answered for so long is lost, such as `30s` or `10m`
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) loss_grace: Duration,
}

/// What to do with a committee.
#[derive(Debug, Subcommand)]
pub(crate) enum CommitteeCommand {
    /// Make trust, addresses and directories; then start the sidecars and form it
    Init(SizeArguments),
    /// Agree on epoch record 0 with the running sidecars; safe to repeat
    Form(FormArguments),
    /// Show the chain and the nodes as they report themselves, without a gateway
    Status(CommitteeStatusArguments),
    /// Give a node its next volume, empty; the lost one is kept
    Replace(ReplaceArguments),
    /// Add a node; shards move to it
    Add(AddArguments),
    /// Let a node leave: its shards move to the others first
    Remove(ReplaceArguments),
    /// Go on where the rules cannot: more than f shards lost, or two records in conflict
    Force(ForceArguments),
    /// Keep the chain going: replace lost volumes, move shards, take over what is whole
    Steward(StewardArguments),
}

/// `floe committee status`.
#[derive(Debug, Args)]
pub(crate) struct CommitteeStatusArguments {
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `floe committee replace` and `remove`.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArguments {
    /// The node
    pub(crate) node: NodeName,
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// How long to see it through before leaving that to a steward; 0 for not at all
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) wait: Duration,
}

/// `floe committee add`.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Its zone
    #[arg(long, default_value = "")]
    pub(crate) zone: String,
    /// The host it runs on [default: one of its own]
    #[arg(long, default_value = "")]
    pub(crate) host: String,
    /// Its share of the shards, in proportion to the others'
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) weight: u32,
    /// How long to see it through before leaving that to a steward; 0 for not at all
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) wait: Duration,
}

/// `floe committee force`.
#[derive(Debug, Args)]
pub(crate) struct ForceArguments {
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The epoch record to build on [default: what most nodes accepted]
    #[arg(long, value_name = "HASH")]
    pub(crate) on: Option<RecordHash>,
    /// Do it: what only the lost volumes hold is lost
    #[arg(long)]
    pub(crate) accept_loss: bool,
}

/// `floe committee steward`.
#[derive(Debug, Args)]
pub(crate) struct StewardArguments {
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// When a node is called lost; its volume is replaced by `floe committee replace`.
    #[command(flatten)]
    pub(crate) loss: LossArguments,
    /// When to end.
    #[command(flatten)]
    pub(crate) end: EndArguments,
}

/// `floe committee form`.
#[derive(Debug, Args)]
pub(crate) struct FormArguments {
    /// The directory that `init` made
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// How long to wait for nodes
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

/// `floe sidecar` and `floe gateway`.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The directory that `committee init` made for it
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// When to end.
    #[command(flatten)]
    pub(crate) end: EndArguments,
}

/// `floe repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArguments {
    /// The directory that `committee init` made for it: `repair` in the committee's
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The node
    #[arg(long)]
    pub(crate) node: NodeName,
    /// What may be read from the other nodes in a second [default: no bound]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes_per_second: Option<u64>,
    /// How long to go on while nothing can be rebuilt
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) patience: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `floe import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The gateway's address, such as `https://main-gateway.floe.svc`
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// File with the gateway's certificate authority
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// File with the ticket
    #[arg(long, value_name = "FILE")]
    pub(crate) ticket_file: PathBuf,
    /// `NAMESPACE/NAME`, as the ticket says
    pub(crate) blob: String,
    /// The content
    pub(crate) file: PathBuf,
}

/// `floe operator`.
#[derive(Debug, Args)]
pub(crate) struct OperatorArguments {
    /// The image of the pods it makes, unless a Committee names another
    #[arg(long)]
    pub(crate) image: String,
    /// Its own namespace, where its Lease is
    #[arg(long, env = "POD_NAMESPACE")]
    pub(crate) namespace: String,
    /// Its pod's name: it stands in the Lease and in Events
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) identity: String,
    /// A namespace whose objects it looks after; may be given several times [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) watch_namespace: Vec<String>,
    /// The Lease by which one replica leads
    #[arg(long, value_name = "NAME", default_value = "floe-operator")]
    pub(crate) lease_name: String,
    /// Where probes and Prometheus connect
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub(crate) metrics_listen: SocketAddr,
    /// When to end.
    #[command(flatten)]
    pub(crate) end: EndArguments,
}

/// When a server ends, besides SIGTERM and Ctrl-C.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EndArguments {
    /// End when standard input does: a parent's pipe closes however the parent ends
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

/// `90s`, `10m`, `24h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text} is no time; write 90s, 10m, 24h or 7d");
    let (digits, seconds) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 24 * 3600),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| refused())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in
            [("0", 0), ("90s", 90), ("10m", 600), ("24h", 86_400), ("7d", 604_800)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1w", "1.5h", "99999999999999999999d", "9999999999999999999d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
