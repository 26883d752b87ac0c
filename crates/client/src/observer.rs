//! Who is told when a node sends what does not verify.

use floe_model::NodeName;

/// Is told of faults that metrics should count and people should know.
pub trait Observer: Send + Sync {
    /// `node` sent something that does not agree with its commitment: it lies, or its disk does.
    fn verification_failed(&self, node: &NodeName, what: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn verification_failed(&self, _: &NodeName, _: &str) {}
}
