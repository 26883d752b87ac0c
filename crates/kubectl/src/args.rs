//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Recoverable blob storage in this cluster.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 not enough nodes, 4 not found or forbidden; of status:
/// 0 full margin, 1 healing, 2 at risk, 3 unreadable, 4 unknown.
#[derive(Debug, Parser)]
#[command(name = "kubectl floe", bin_name = "kubectl floe", version, propagate_version = true)]
pub struct Arguments {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, as kubectl has it.
#[derive(Debug, Clone, Args)]
pub struct ClusterArguments {
    /// The kubeconfig [default: that of kubectl, or, in a pod, its ServiceAccount]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace of names that have none [default: the context's]
    #[arg(long, short, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How answers are printed
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show whether data is at risk, until when, what blocks repair, and what to do
    Status(StatusArguments),
    /// Store a file as a Blob
    Put(PutArguments),
    /// Write a Blob to a file, or to standard output
    Get(GetArguments),
    /// Bring back a deleted Blob, as long as its content is kept
    Undelete(UndeleteArguments),
    /// See to a storage node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Wait until a Committee that was installed again has taken up its volumes, and say which Blobs
    /// it found
    Adopt(AdoptArguments),
}

/// `kubectl floe status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The Committee [default: the only one of the namespace]
    pub committee: Option<String>,
    /// Show the storage nodes that are whole, too
    #[arg(long, short)]
    pub verbose: bool,
}

/// `kubectl floe put`.
#[derive(Debug, Args)]
pub struct PutArguments {
    /// `[NAMESPACE/]NAME`
    pub blob: String,
    /// The file; `-` is standard input
    pub file: PathBuf,
    /// Media type of the content
    #[arg(long, default_value = "application/octet-stream")]
    pub content_type: String,
    /// How to get there.
    #[command(flatten)]
    pub way: WayArguments,
}

/// `kubectl floe get`.
#[derive(Debug, Args)]
pub struct GetArguments {
    /// `[NAMESPACE/]NAME`
    pub blob: String,
    /// The file to write; `-` is standard output
    #[arg(default_value = "-")]
    pub file: String,
    /// Bytes `FIRST-LAST`, `FIRST-` or `-COUNT`
    #[arg(long, allow_hyphen_values = true)]
    pub range: Option<String>,
    /// How to get there.
    #[command(flatten)]
    pub way: WayArguments,
}

/// `kubectl floe undelete`.
#[derive(Debug, Args)]
pub struct UndeleteArguments {
    /// `[NAMESPACE/]NAME`
    pub blob: String,
    /// How to get there.
    #[command(flatten)]
    pub way: WayArguments,
}

/// Which gateway, and who asks.
#[derive(Debug, Clone, Args)]
pub struct WayArguments {
    /// The Committee, `[NAMESPACE/]NAME` [default: the Blob's own, or the default Committee]
    #[arg(long, value_name = "COMMITTEE")]
    pub committee: Option<String>,
    /// Ask as this ServiceAccount of the Blob's namespace, by a token that is requested for it
    /// [default: the kubeconfig's token if it is meant for the gateway, else ServiceAccount `default`]
    #[arg(long, value_name = "NAME")]
    pub as_service_account: Option<String>,
}

/// `kubectl floe node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Give up the node's volume: its next one is rebuilt from its peers; the old one is kept
    Replace(ReplaceArguments),
}

/// `kubectl floe node replace`.
#[derive(Debug, Args)]
pub struct ReplaceArguments {
    /// The StorageNode
    pub node: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `kubectl floe adopt`.
#[derive(Debug, Args)]
pub struct AdoptArguments {
    /// The Committee
    pub committee: String,
    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = floe_crd::duration)]
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
        let words = ["kubectl-floe", "status", "-n", "floe", "main", "-o", "json", "-v"];
        let arguments = Arguments::try_parse_from(words).unwrap();
        assert_eq!(arguments.cluster.namespace.as_deref(), Some("floe"));
        assert_eq!(arguments.cluster.output, Output::Json);
        let words = ["kubectl-floe", "adopt", "main", "--timeout", "7d"];
        let refused = Arguments::try_parse_from(words).unwrap_err().to_string();
        assert!(refused.contains("no unit for days"), "{refused}");
    }
}
