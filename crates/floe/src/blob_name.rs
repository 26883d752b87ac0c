//! Blobs as people type them: `[NAMESPACE/]NAME`.

use floe_model::{BlobName, Namespace};

use crate::exit::{Ended, Exit};
use crate::web::segment;

/// A blob's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullName {
    /// Where it is.
    pub(crate) namespace: Namespace,
    /// What it is called.
    pub(crate) name: BlobName,
}

impl FullName {
    /// Reads `[NAMESPACE/]NAME`.
    pub(crate) fn parse(text: &str, default_namespace: &str) -> Result<Self, Ended> {
        let (namespace, name) = text.split_once('/').unwrap_or((default_namespace, text));
        let usage = |error: floe_model::id::IdError| Ended::new(Exit::Usage, error.to_string());
        Ok(Self {
            namespace: namespace.parse().map_err(usage)?,
            name: name.parse().map_err(usage)?,
        })
    }

    /// The blob's path at a gateway.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", blobs_path(&self.namespace), segment(self.name.as_str()))
    }
}

impl std::fmt::Display for FullName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The path of a namespace's blobs at a gateway.
pub(crate) fn blobs_path(namespace: &Namespace) -> String {
    format!("/v1/namespaces/{}/blobs", segment(namespace.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_carry_its_namespace() {
        let name = FullName::parse("shop/model-v2", "default").unwrap();
        assert_eq!(name.path(), "/v1/namespaces/shop/blobs/model-v2");
        assert_eq!(FullName::parse("model", "default").unwrap().to_string(), "default/model");
        for bad in ["", "a/b/c", "Shop/x", "shop/", "../x"] {
            assert_eq!(
                FullName::parse(bad, "default").err().map(|e| e.exit),
                Some(Exit::Usage),
                "{bad}"
            );
        }
    }
}
