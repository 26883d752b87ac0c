//! How large a committee is.

use floe_model::{Geometry, NodeName};
use floe_plan::placement;

use super::files::CommitteeFile;
use crate::exit::{Ended, Exit};

/// Storage nodes of a committee of which nothing was said.
const DEFAULT_NODES: u16 = 4;
/// Shards of a committee of which nothing was said.
const DEFAULT_SHARDS: u16 = 10;

/// Nodes and shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Storage nodes.
    pub(super) nodes: u16,
    /// n.
    pub(super) shards: u16,
}

impl Size {
    /// That of a committee that exists.
    pub(super) fn of(file: &CommitteeFile) -> anyhow::Result<Self> {
        Ok(Self { nodes: u16::try_from(file.nodes.len())?, shards: file.shards })
    }

    /// What is wished where nothing exists, or exists where nothing else is wished.
    pub(super) fn choose(
        existing: Option<Self>,
        nodes: Option<u16>,
        shards: Option<u16>,
    ) -> Result<Self, Ended> {
        let Some(existing) = existing else {
            let nodes = nodes.unwrap_or(DEFAULT_NODES);
            let size = Self { nodes, shards: shards.unwrap_or(DEFAULT_SHARDS) };
            size.check()?;
            return Ok(size);
        };
        let differ = |wish: Option<u16>, is: u16| wish.is_some_and(|wish| wish != is);
        if differ(nodes, existing.nodes) || differ(shards, existing.shards) {
            let Self { nodes, shards } = existing;
            let message = format!(
                "the directory holds a committee of {nodes} nodes and {shards} shards; \
                 leave out --nodes and --shards, or use another directory"
            );
            return Err(Ended::new(Exit::Usage, message));
        }
        Ok(existing)
    }

    fn check(self) -> Result<(), Ended> {
        let usage = |message: String| Ended::new(Exit::Usage, message);
        if self.nodes < 4 {
            let message = format!(
                "{} nodes are too few: to lose one without harm a committee needs at least 4",
                self.nodes
            );
            return Err(usage(message));
        }
        let geometry = self.geometry()?;
        let nodes = (0..self.nodes)
            .map(|position| Ok((node_name(position)?, String::new())))
            .collect::<Result<Vec<_>, Ended>>()?;
        placement::assign(geometry, &nodes).map_err(|error| usage(error.to_string()))?;
        Ok(())
    }

    /// n and the largest f.
    pub(super) fn geometry(self) -> Result<Geometry, Ended> {
        Geometry::of_shards(self.shards).map_err(|error| Ended::new(Exit::Usage, error.to_string()))
    }
}

/// `node-0`, `node-1`, …
pub(super) fn node_name(position: u16) -> Result<NodeName, Ended> {
    let name = format!("node-{position}").parse();
    name.map_err(|error: floe_model::id::IdError| Ended::new(Exit::Failed, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_committee_may_be_as_large_as_its_shards_allow() {
        assert_eq!(Size::choose(None, None, None).unwrap(), Size { nodes: 4, shards: 10 });
        assert_eq!(Size::choose(None, Some(7), Some(31)).unwrap(), Size { nodes: 7, shards: 31 });
        for (nodes, shards, wanted) in [
            (Some(3), None, "at least 4"),
            (Some(4), Some(9), "at least 5 nodes"),
            (Some(11), None, "at most 10 nodes"),
            (None, Some(3), "3"),
            (None, Some(300), "300"),
        ] {
            let error = Size::choose(None, nodes, shards).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_directory_keeps_its_size() {
        let existing = Some(Size { nodes: 7, shards: 10 });
        assert_eq!(Size::choose(existing, None, Some(10)).unwrap().nodes, 7);
        let error = Size::choose(existing, Some(4), None).unwrap_err();
        assert!(error.exit == Exit::Usage && error.to_string().contains("7 nodes and 10 shards"));
    }
}
