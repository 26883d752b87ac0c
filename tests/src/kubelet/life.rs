//! A pod from its creation to its deletion.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, VolumeProjection};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use tokio::sync::watch;

use super::containers::{self, Container};
use super::status::Phase;
use super::{Shared, claims, machines};

/// Before what did not go is tried again, and between two looks at whether a container is ready.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a container finds what it mounts.
pub(super) struct Mounts(Vec<(PathBuf, PathBuf)>);

impl Mounts {
    /// The real path of a container's path.
    pub(super) fn find(&self, path: &Path) -> Option<PathBuf> {
        self.0.iter().find_map(|(at, dir)| path.strip_prefix(at).ok().map(|rest| dir.join(rest)))
    }
}

/// Looks after a pod until it is deleted.
pub(super) async fn live(shared: Arc<Shared>, mut newest: watch::Receiver<Pod>) {
    let pod = newest.borrow().clone();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if !matches!(phase, "Succeeded" | "Failed") {
        tokio::select! {
            biased;
            () = is_deleted(&mut newest) => {}
            () = run(&shared, &pod) => {}
        }
    }
    is_deleted(&mut newest).await;
    let (namespace, name) = (pod.namespace().unwrap(), pod.name_any());
    shared.names.leave(&namespace, &name);
    shared.machines.leave(&pod.uid().unwrap());
    let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
    let params = DeleteParams::default().grace_period(0).preconditions(preconditions);
    let pods = Api::<Pod>::namespaced(shared.client.clone(), &namespace);
    if let Err(error) = pods.delete(&name, &params).await {
        tracing::debug!(%error, namespace, name, "a pod was deleted by somebody else");
    }
}

async fn is_deleted(newest: &mut watch::Receiver<Pod>) {
    // If the sender is gone, so is the cluster.
    let _ = newest.wait_for(|pod| pod.metadata.deletion_timestamp.is_some()).await;
}

/// Until its container has ended for good.
async fn run(shared: &Shared, pod: &Pod) {
    let mut said = String::new();
    loop {
        let Err(error) = attempt(shared, pod).await else { return };
        let text = format!("{error:#}");
        if text != said {
            let pod = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
            tracing::info!(pod, error = text, "a pod waits");
            said = text;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(shared: &Shared, pod: &Pod) -> anyhow::Result<()> {
    let tied = claims::tied(&shared.client, pod).await;
    let host = tied.and_then(|tied| {
        let host = shared.machines.place(pod, &tied);
        host.ok_or_else(|| anyhow!("no host takes it (it needs {tied:?})"))
    });
    let host = match host {
        Ok(host) => host,
        Err(error) => {
            report(shared, pod, &Phase::Unschedulable(error.to_string())).await?;
            return Err(error);
        }
    };
    bind(shared, pod, &host).await?;
    claims::bind(shared, pod, &host).await?;
    report(shared, pod, &Phase::Creating).await?;
    let mounts = mount(shared, pod).await?;
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    shared.names.join(&namespace, &name, pod.labels().clone());
    let env = shared.env_of(Some((namespace, name)));
    let arguments = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.args.clone());
    let arguments = arguments.unwrap_or_default();
    let mut restarts = 0;
    loop {
        let started = containers::start(&env, &shared.config, &arguments, &mounts).await;
        let ended = match started {
            Ok(Container::Server(server)) => serve(shared, pod, server.failed(), restarts).await?,
            Ok(Container::Job(job)) => {
                report(shared, pod, &Phase::Running { is_ready: true, restarts }).await?;
                let phase = match job.await {
                    Ok(message) => Phase::Succeeded(message),
                    Err((exit_code, message)) => Phase::Failed { exit_code, message },
                };
                return report(shared, pod, &phase).await;
            }
            Err(error) => format!("{error:#}"),
        };
        restarts += 1;
        tracing::info!(pod = pod.name_any(), ended, restarts, "a container failed");
        report(shared, pod, &Phase::Failing { message: ended, restarts }).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells whether the container is ready, until it fails.
async fn serve(
    shared: &Shared,
    pod: &Pod,
    failed: impl Future<Output = String>,
    restarts: i32,
) -> anyhow::Result<String> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let mut failed = std::pin::pin!(failed);
    let mut told = None;
    loop {
        let address = shared.names.port(&namespace, &name, floe_crd::names::METRICS_PORT);
        let is_ready = match address {
            Some(address) => containers::is_ready(address).await,
            None => false,
        };
        if told != Some(is_ready) {
            shared.names.set_ready(&namespace, &name, is_ready);
            report(shared, pod, &Phase::Running { is_ready, restarts }).await?;
            told = Some(is_ready);
        }
        tokio::select! {
            biased;
            reason = &mut failed => return Ok(reason),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn report(shared: &Shared, pod: &Pod, phase: &Phase) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let patch = Patch::Merge(phase.status(pod));
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn bind(shared: &Shared, pod: &Pod, host: &str) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let binding = machines::binding(pod, host);
    let params = PostParams::default();
    let bound: Result<Value, kube::Error> =
        pods.create_subresource("binding", &pod.name_any(), &params, &binding).await;
    match bound {
        // By an earlier attempt.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        bound => Ok(bound.map(drop)?),
    }
}

/// Writes down what the pod mounts.
async fn mount(shared: &Shared, pod: &Pod) -> anyhow::Result<Mounts> {
    let spec = pod.spec.as_ref().context("a pod has a spec")?;
    let container = spec.containers.first().context("a pod has a container")?;
    let uid = pod.uid().context("a pod has an uid")?;
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volumes = spec.volumes.iter().flatten();
        let volume = volumes.clone().find(|volume| volume.name == mount.name);
        let volume = volume.with_context(|| format!("there is no volume {}", mount.name))?;
        let at = PathBuf::from(&mount.mount_path);
        if volume.persistent_volume_claim.is_some() {
            let tied = claims::volume(shared, pod).await?;
            mounts.push((at, shared.disk(&tied)));
        } else if let Some(projected) = &volume.projected {
            let dir = shared.dir.join("pods").join(&uid).join(&mount.name);
            for source in projected.sources.iter().flatten() {
                project(shared, &pod.namespace().unwrap_or_default(), source, &dir).await?;
            }
            mounts.push((at, dir));
        }
    }
    Ok(Mounts(mounts))
}

async fn project(
    shared: &Shared,
    namespace: &str,
    source: &VolumeProjection,
    dir: &Path,
) -> anyhow::Result<()> {
    let client = shared.client.clone();
    let (files, items) = if let Some(source) = &source.config_map {
        let map = Api::<ConfigMap>::namespaced(client, namespace).get(&source.name).await?;
        let files = map.data.into_iter().flatten();
        (files.map(|(key, text)| (key, text.into_bytes())).collect::<Vec<_>>(), &source.items)
    } else if let Some(source) = &source.secret {
        let secret = Api::<Secret>::namespaced(client, namespace).get(&source.name).await?;
        let files = secret.data.into_iter().flatten();
        (files.map(|(key, bytes)| (key, bytes.0)).collect(), &source.items)
    } else {
        return Ok(());
    };
    for (key, bytes) in files {
        let path = match items {
            None => key,
            Some(items) => match items.iter().find(|item| item.key == key) {
                Some(item) => item.path.clone(),
                None => continue,
            },
        };
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
