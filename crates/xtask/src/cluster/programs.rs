//! The programs of a local Kubernetes, built from Go modules and kept per set of versions. Cold this
//! takes a quarter of an hour on two cores, with Go's caches warm a minute.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::command::{done, home, said};
use super::lock::Lock;

const KUBERNETES_MINOR: &str = "37";
const KUBERNETES_PATCH: &str = "2";
const CONTAINERD: &str = "2.3.7";
const COREDNS: &str = "1.15.0";
const HELM: &str = "4.3.1";
/// What `go.mod` asks for, and the oldest Go that can build it all.
const GO: (u32, u32) = (1, 26);

/// Kubernetes' parts of its own repository: required at v0.0.0, and only the *main* module's replace
/// lines count, so the module that is built must be the main one. All at the same patch level.
const STAGING: &str = "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go \
    cloud-provider cluster-bootstrap code-generator component-base component-helpers \
    controller-manager cri-api cri-client cri-streaming csi-translation-lib \
    dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
    kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
    pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming";
/// Names under which the one binary `kube` plays its parts: linked once instead of seven times.
const PARTS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
];
const CONTAINERD_MODULE: &str = "github.com/containerd/containerd/v2";
const CONTAINERD_COMMANDS: [&str; 3] = ["containerd", "containerd-shim-runc-v2", "ctr"];

/// A Go program of one file that is its own module.
struct Module {
    name: &'static str,
    go_mod: String,
    source: String,
}

/// The directory of the programs, built if they are not there yet; one run builds, others wait.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    let cache = home()?.join(".cache/floe");
    let modules = [kube(), containerd(), pause()];
    let folder = cache.join(format!("kubernetes-{}", digest(&modules)));
    if folder.is_dir() {
        return Ok(folder);
    }
    check_go()?;
    fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    let _lock = Lock::take(&cache.join("kubernetes.lock"))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    println!("building Kubernetes' programs into {} (15 minutes if never done)", folder.display());
    let partial = cache.join("kubernetes-partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    let programs = partial.join("programs");
    fs::create_dir_all(&programs)?;
    build(&modules, &partial, &programs)?;
    fs::rename(&programs, &folder).with_context(|| format!("make {}", folder.display()))?;
    fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    Ok(folder)
}

fn build(modules: &[Module; 3], sources: &Path, programs: &Path) -> anyhow::Result<()> {
    for module in modules {
        let folder = sources.join(module.name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("go.mod"), &module.go_mod)?;
        fs::write(folder.join("main.go"), &module.source)?;
        let mut build = go(&folder, programs);
        build.env("GOFLAGS", "-mod=mod -buildvcs=false -trimpath").arg("build");
        match module.name {
            "containerd" => {
                build.args(["-tags", "no_btrfs no_zfs no_devmapper", "-ldflags"]);
                build.arg(format!("-s -w -X {CONTAINERD_MODULE}/version.Version={CONTAINERD}"));
                build.arg("-o").arg(programs);
                let command = |name| format!("{CONTAINERD_MODULE}/cmd/{name}");
                build.args(CONTAINERD_COMMANDS.map(command));
            }
            "kube" => {
                build.args(["-tags", "notest,grpcnotrace,selinux", "-ldflags", &kube_flags()]);
                build.arg("-o").arg(programs.join(module.name)).arg(".");
            }
            name => {
                build.args(["-ldflags", "-s -w", "-o"]).arg(programs.join(name)).arg(".");
            }
        }
        progress(&mut build)?;
    }
    for part in PARTS {
        std::os::unix::fs::symlink("kube", programs.join(part))?;
    }
    for install in [
        format!("github.com/coredns/coredns@v{COREDNS}"),
        format!("helm.sh/helm/v4/cmd/helm@v{HELM}"),
    ] {
        let mut command = go(sources, programs);
        command.env("GOFLAGS", "-buildvcs=false -trimpath");
        progress(command.args(["install", "-ldflags", "-s -w", &install]))?;
    }
    Ok(())
}

fn kube() -> Module {
    let version = format!("{KUBERNETES_MINOR}.{KUBERNETES_PATCH}");
    let mut go_mod = format!(
        "module kube\n\ngo {}.{}.0\n\nrequire k8s.io/kubernetes v1.{version}\n\n",
        GO.0, GO.1
    );
    for module in STAGING.split_whitespace() {
        // Writing to a string cannot fail.
        let _ = writeln!(go_mod, "replace k8s.io/{module} => k8s.io/{module} v0.{version}");
    }
    Module { name: "kube", go_mod, source: include_str!("programs/kube.go").to_owned() }
}

/// Without them `kubectl version` and the API server would say v0.0.0.
fn kube_flags() -> String {
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", &*format!("v1.{KUBERNETES_MINOR}.{KUBERNETES_PATCH}")),
            ("gitMajor", "1"),
            ("gitMinor", KUBERNETES_MINOR),
            ("gitTreeState", "archive"),
            ("gitCommit", "0000000000000000000000000000000000000000"),
            ("buildDate", "2026-01-01T00:00:00Z"),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(flags, " -X {package}.{name}={value}");
        }
    }
    flags
}

fn containerd() -> Module {
    let go_mod = format!(
        "module containerd\n\ngo {}.{}.0\n\nrequire {CONTAINERD_MODULE} v{CONTAINERD}\n",
        GO.0, GO.1
    );
    let mut source = "//go:build tools\n\npackage tools\n\nimport (\n".to_owned();
    for command in CONTAINERD_COMMANDS {
        // Writing to a string cannot fail.
        let _ = writeln!(source, "\t_ \"{CONTAINERD_MODULE}/cmd/{command}\"");
    }
    source.push_str(")\n");
    Module { name: "containerd", go_mod, source }
}

fn pause() -> Module {
    let go_mod = format!("module pause\n\ngo {}.{}.0\n", GO.0, GO.1);
    Module { name: "pause", go_mod, source: include_str!("programs/pause.go").to_owned() }
}

/// Of everything that the programs follow from.
fn digest(modules: &[Module]) -> String {
    let mut hasher = Sha256::new();
    for module in modules {
        hasher.update(&module.go_mod);
        hasher.update(&module.source);
    }
    hasher.update(kube_flags());
    hasher.update(format!("coredns {COREDNS} helm {HELM}"));
    let mut name = format!("1.{KUBERNETES_MINOR}.{KUBERNETES_PATCH}-");
    name.push_str(&hex::encode(hasher.finalize())[..12]);
    name
}

fn go(folder: &Path, programs: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
    command.env("GOBIN", programs);
    command
}

fn progress(command: &mut Command) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let what = command.get_args().last().map(|word| word.to_string_lossy().into_owned());
    done(command)?;
    let folder = command.get_current_dir().and_then(Path::file_name).unwrap_or_default();
    let what = what.filter(|what| what != ".").unwrap_or_else(|| folder.display().to_string());
    println!("  {what}: {:.1} minutes", begun.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

/// Whether there is a Go that can build them.
fn check_go() -> anyhow::Result<()> {
    let (major, minor) = GO;
    let Ok(version) = said(Command::new("go").args(["env", "GOVERSION"])) else {
        bail!("Go is missing: install Go {major}.{minor} or newer from https://go.dev/dl");
    };
    let numbers = version.trim().strip_prefix("go").and_then(|version| {
        let mut parts = version.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    });
    let found = numbers.with_context(|| format!("`go env GOVERSION` said {version}"))?;
    ensure!(
        found >= GO,
        "{} is too old: install Go {major}.{minor} or newer from https://go.dev/dl",
        version.trim()
    );
    Ok(())
}
