//! `helm` as people use it.

use std::path::PathBuf;
use std::process::Command;

use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;

/// `helm`, in the project's folder.
pub(crate) struct Helm {
    environment: Vec<(&'static str, PathBuf)>,
}

impl Helm {
    /// For what needs no cluster, and must not find one.
    pub(crate) fn without_cluster() -> Self {
        Self { environment: vec![("KUBECONFIG", PathBuf::from("/dev/null"))] }
    }

    /// With the administrator's rights.
    pub(crate) fn of(server: &ApiServer, scene: &Scene) -> Self {
        let home = scene.dir().join("helm");
        let in_home = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"];
        let mut environment: Vec<_> = in_home.map(|name| (name, home.clone())).into();
        environment.push(("KUBECONFIG", server.kubeconfig().to_owned()));
        Self { environment }
    }

    /// What it prints; panics with what it complains of when it fails.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.attempt(words).unwrap_or_else(|said| panic!("helm {}: {said}", words.join(" ")))
    }

    /// What it prints, or what it complains of.
    pub(crate) fn attempt(&self, words: &[&str]) -> Result<String, String> {
        let folder = std::env::var_os("FLOE_KUBERNETES_BIN")
            .unwrap_or_else(|| panic!("no FLOE_KUBERNETES_BIN: run `cargo xtask test k8s`"));
        let mut command = Command::new(PathBuf::from(folder).join("helm"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(words).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let output = command.output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if output.status.success() { Ok(stdout) } else { Err(stderr + &stdout) }
    }
}
