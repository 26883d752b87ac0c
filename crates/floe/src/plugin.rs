//! `kubectl floe`: this binary under the name `kubectl-floe`.

use std::ffi::OsStr;
use std::path::Path;

use floe_kubectl::args::{Arguments, Command, NodeCommand, Output, WayArguments};
use floe_kubectl::cluster::Cluster;
use floe_kubectl::{adopt, gateway, node, status};

use crate::blob_name::FullName;
use crate::command::{catalog, get, put};
use crate::web::Gateway;

/// As kubectl looks for it.
const NAME: &str = "kubectl-floe";

/// Whether that is how the process was called.
pub(crate) fn is_called(program: Option<&OsStr>) -> bool {
    program.and_then(|path| Path::new(path).file_name()).is_some_and(|name| name == NAME)
}

/// Does what the command line says; the exit code.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let Arguments { cluster: which, command } = arguments;
    let cluster = Cluster::connect(&which).await?;
    let json = which.output == Output::Json;
    match command {
        Command::Status(arguments) => {
            let verdict = status::status(&cluster, &arguments, which.output).await?;
            return Ok(verdict as u8);
        }
        Command::Put(arguments) => {
            let (gateway, name) = reach(&cluster, &arguments.way, &arguments.blob).await?;
            let content = (arguments.file.as_path(), arguments.content_type);
            put::store(&gateway, &name, content, json).await?;
        }
        Command::Get(arguments) => {
            let (gateway, name) = reach(&cluster, &arguments.way, &arguments.blob).await?;
            get::fetch(&gateway, &name, arguments.range.as_deref(), &arguments.file).await?;
        }
        Command::Undelete(arguments) => {
            let (gateway, name) = reach(&cluster, &arguments.way, &arguments.blob).await?;
            catalog::bring_back(&gateway, &name, json).await?;
        }
        Command::Node(NodeCommand::Replace(arguments)) => {
            node::replace(&cluster, &arguments).await?;
        }
        Command::Adopt(arguments) => adopt::adopt(&cluster, &arguments).await?,
    }
    Ok(0)
}

async fn reach(
    cluster: &Cluster,
    way: &WayArguments,
    blob: &str,
) -> anyhow::Result<(Gateway, FullName)> {
    let name = FullName::parse(blob, &cluster.namespace)?;
    let full = (name.namespace.as_str(), name.name.as_str());
    let way = gateway::way(cluster, way, full).await?;
    Ok((Gateway::by(way)?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (program, expected) in [
            ("/usr/local/bin/kubectl-floe", true),
            ("kubectl-floe", true),
            ("/floe", false),
            ("", false),
        ] {
            assert_eq!(is_called(Some(OsStr::new(program))), expected, "{program}");
        }
        assert!(!is_called(None));
    }
}
