//! What people ask a committee on Kubernetes: `kubectl floe`.
