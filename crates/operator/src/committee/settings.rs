//! What a Committee's spec means; checked once more, since admission can be passed by.

use std::time::Duration;

use floe_crd::{CommitteeSpec, duration};
use floe_model::Geometry;
use floe_model::record::Policy;

use crate::error::{Error, Result};

/// Releases are kept at least this long.
const RELEASE_RETENTION: Duration = Duration::from_hours(30 * 24);
/// What a StorageNode weighs is counted in these, unless its spec says otherwise.
const WEIGHT_UNIT_BYTES: u64 = 1 << 30;

/// What a spec means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// n and f.
    pub(super) geometry: Geometry,
    /// What holds for all blobs.
    pub(super) policy: Policy,
    /// How long a volume may be silent.
    pub(super) loss_grace: Duration,
    /// What a StorageNode weighs that does not say.
    pub(super) weight: u32,
}

/// Reads the spec; what is wrong with it, and what would be right.
pub(super) fn settings(spec: &CommitteeSpec) -> Result<Settings> {
    let invalid = |field: &str, error: &dyn std::fmt::Display| {
        Error::refused("InvalidSpec", format!("spec.{field}: {error}"))
    };
    let geometry = Geometry::new(spec.encoding.shards, spec.encoding.faulty_shards());
    let geometry = geometry.map_err(|error| invalid("encoding", &error))?;
    let loss_grace = duration(&spec.repair.loss_grace);
    let loss_grace = loss_grace.map_err(|error| invalid("repair.lossGrace", &error))?;
    let window = duration(&spec.deletion.undelete_window);
    let window = window.map_err(|error| invalid("deletion.undeleteWindow", &error))?;
    let size_bytes = spec.storage.size.bytes();
    let size_bytes = size_bytes.map_err(|error| invalid("storage.size", &error))?;
    if spec.replicas > spec.encoding.shards {
        let reason = "at most encoding.shards: every node needs at least one shard";
        return Err(invalid("replicas", &reason));
    }
    let retention = RELEASE_RETENTION.max(window.saturating_mul(2));
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let policy = Policy {
        undelete_window_millis: millis(window),
        release_retention_millis: millis(retention),
    };
    let weight = u32::try_from(size_bytes / WEIGHT_UNIT_BYTES).unwrap_or(u32::MAX).max(1);
    Ok(Settings { geometry, policy, loss_grace, weight })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::tests::fixture::committee_spec;

    #[test]
    fn what_a_spec_means() {
        let mut spec = committee_spec(4);
        let plain = settings(&spec).unwrap();
        assert_eq!((plain.geometry.shards(), plain.geometry.faulty()), (10, 3));
        assert_eq!((plain.policy, plain.weight), (Policy::default(), 1));
        assert_eq!(plain.loss_grace, Duration::from_mins(10));
        spec.deletion.undelete_window = "5s".to_owned();
        assert_eq!(settings(&spec).unwrap().policy.undelete_window_millis, 5000);
        spec.repair.loss_grace = "7d".to_owned();
        let error = settings(&spec).unwrap_err();
        assert!(error.is_terminal());
        assert!(error.to_string().starts_with("spec.repair.lossGrace: "), "{error}");
    }
}
