//! The table of layers as data, planned crates included: a crate that is not here may not exist.

/// A row: what one crate may use of ours, and what it must not contain.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its folder under `crates/`; the package is `floe-<name>` but for `floe` and `xtask`.
    pub(super) name: &'static str,
    /// Direct edges to our crates.
    pub(super) may_use: Uses,
    /// What is kept out of it.
    pub(super) must_not_contain: &'static [Ban],
}

/// Which of our crates a crate may name in its manifest.
#[derive(Debug)]
pub(super) enum Uses {
    /// All.
    Anything,
    /// These.
    Only(&'static [&'static str]),
}

/// Something kept out of a crate.
#[derive(Debug)]
pub(super) struct Ban {
    /// As the message calls it.
    pub(super) what: &'static str,
    /// Packages, or `package/feature`.
    pub(super) packages: &'static [&'static str],
}

/// Never in any build: a second TLS stack beside rustls with ring makes rustls panic at run time.
pub(super) const BANNED_PACKAGES: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

const ASYNC: Ban = Ban {
    what: "an async runtime",
    packages: &["async-trait", "futures", "smol", "tokio", "tokio-rustls", "tokio-util"],
};
const HTTP: Ban = Ban {
    what: "HTTP",
    packages: &[
        "axum",
        "http",
        "http-body",
        "http-body-util",
        "hyper",
        "hyper-util",
        "reqwest",
        "tower",
        "tower-http",
    ],
};
const AXUM: Ban = Ban { what: "axum", packages: &["axum", "axum-extra", "axum-server"] };
const KUBE: Ban = Ban {
    what: "kube",
    packages: &["k8s-openapi", "kube", "kube-client", "kube-core", "kube-derive", "kube-runtime"],
};
const KUBE_CLIENT: Ban = Ban {
    what: "kube's client",
    packages: &["kube-client", "kube-runtime", "kube/client", "kube/default", "kube/runtime"],
};
const FILES: Ban =
    Ban { what: "files", packages: &["libc", "memmap2", "rustix", "tar", "tempfile", "walkdir"] };
const CLOCKS: Ban = Ban { what: "clocks", packages: &["chrono", "jiff", "time"] };
const RANDOMNESS: Ban =
    Ban { what: "randomness of its own", packages: &["fastrand", "getrandom", "rand"] };

/// Where production code may lift clippy's ban on disk, network, clock, randomness and spawning (`clippy.toml`).
/// Everything else gets them from `floe-env`, so that the same code runs in a simulation.
pub(super) const MAY_LIFT_THE_BAN: &[&str] = &[
    "crates/env/src/real",
    "crates/env/src/real.rs",
    "crates/floe",
    // Both run against a Kubernetes API server only, whose client has no seams for a simulation.
    "crates/kubectl",
    "crates/operator",
    "crates/xtask",
    // hyper's timer wants an `Instant`; only differences to it are used.
    "crates/api/src/time.rs",
];

/// The three crates without I/O, async, clock, randomness or environment.
const PURE: &[Ban] = &[ASYNC, KUBE, HTTP, FILES, CLOCKS, RANDOMNESS];

/// The rows.
pub(super) const CRATES: &[Rule] = &[
    Rule { name: "model", may_use: Uses::Only(&[]), must_not_contain: PURE },
    Rule { name: "env", may_use: Uses::Only(&[]), must_not_contain: &[] },
    Rule { name: "redstuff", may_use: Uses::Only(&["model"]), must_not_contain: PURE },
    Rule { name: "plan", may_use: Uses::Only(&["model"]), must_not_contain: PURE },
    Rule { name: "crd", may_use: Uses::Only(&["model"]), must_not_contain: &[KUBE_CLIENT] },
    Rule { name: "api", may_use: Uses::Only(&["model", "env"]), must_not_contain: &[AXUM, KUBE] },
    Rule {
        name: "store",
        may_use: Uses::Only(&["model", "redstuff", "env"]),
        must_not_contain: &[KUBE, HTTP],
    },
    Rule {
        name: "client",
        may_use: Uses::Only(&["model", "redstuff", "api", "env"]),
        must_not_contain: &[KUBE, AXUM],
    },
    Rule {
        name: "steward",
        may_use: Uses::Only(&["model", "plan", "api", "env"]),
        must_not_contain: &[KUBE],
    },
    Rule {
        name: "sidecar",
        may_use: Uses::Only(&["model", "redstuff", "plan", "api", "store", "client", "env"]),
        must_not_contain: &[KUBE],
    },
    Rule {
        name: "gateway",
        may_use: Uses::Only(&["model", "api", "client", "crd", "env"]),
        must_not_contain: &[],
    },
    Rule {
        name: "operator",
        may_use: Uses::Only(&["model", "plan", "crd", "api", "steward", "env"]),
        must_not_contain: &[],
    },
    Rule { name: "kubectl", may_use: Uses::Only(&["model", "crd", "api"]), must_not_contain: &[] },
    Rule { name: "floe", may_use: Uses::Anything, must_not_contain: &[] },
    Rule { name: "models", may_use: Uses::Only(&[]), must_not_contain: &[] },
    Rule { name: "tests", may_use: Uses::Anything, must_not_contain: &[] },
    Rule { name: "fuzz", may_use: Uses::Anything, must_not_contain: &[] },
    Rule {
        name: "xtask",
        may_use: Uses::Only(&["model", "redstuff", "crd"]),
        must_not_contain: &[],
    },
];
