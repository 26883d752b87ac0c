//! The whole environment in one value.

use std::sync::Arc;

use crate::{Clock, Compute, Disk, Net, Random, Spawn};

/// Everything that code may want from outside itself. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Byte streams between machines.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Background tasks.
    pub spawn: Arc<dyn Spawn>,
    /// CPU work and the synchronous store.
    pub compute: Arc<dyn Compute>,
}
