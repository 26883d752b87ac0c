//! Floe's Kubernetes kinds.
