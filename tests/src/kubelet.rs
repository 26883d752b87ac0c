//! What a cluster has beside its API server and controllers, in this process: Nodes, a scheduler, a
//! provisioner of volumes, and kubelets whose containers are the real storage nodes, gateways and
//! repair jobs, on directories and loopback addresses.
//!
//! Names of Services resolve for whoever uses [`Kubelet::env`]: pods, and operators that tests run.
//! A pod's files are those that its volumes say, so what the operator renders is what is read.

mod claims;
mod containers;
mod life;
mod machines;
mod network;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use floe_env::{Env, real_env};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use machines::Machines;
use network::{Names, PodNet};

/// Threads for CPU work and the disk, shared by all containers.
const THREADS: usize = 8;

/// The kubelets of a cluster. What they run ends when it is dropped.
pub struct Kubelet {
    shared: Arc<Shared>,
    pods: Arc<Mutex<BTreeMap<String, PodTask>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all pods share.
struct Shared {
    client: Client,
    config: Config,
    env: Env,
    names: Arc<Names>,
    machines: Machines,
    forgotten: Mutex<BTreeSet<String>>,
    dir: PathBuf,
}

/// A pod that is looked after.
struct PodTask {
    newest: watch::Sender<Pod>,
    task: JoinHandle<()>,
}

impl Drop for PodTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Makes `hosts` Nodes, each in a zone of its own, and runs what is put on them. `config` is how
    /// gateways reach the API server.
    pub async fn start(client: Client, config: Config, dir: &Path, hosts: u16) -> Self {
        let machines = Machines::create(&client, hosts).await;
        let names = Names::watch(&client);
        let shared = Arc::new(Shared {
            client: client.clone(),
            config,
            env: real_env(THREADS).unwrap(),
            names: Arc::new(names),
            machines,
            forgotten: Mutex::default(),
            dir: dir.to_owned(),
        });
        let pods = Arc::default();
        let tasks = vec![tokio::spawn(look_after(Arc::clone(&shared), Arc::clone(&pods)))];
        Self { shared, pods, tasks }
    }

    /// The real environment, with a network in which names of Services resolve.
    pub fn env(&self) -> Env {
        self.shared.env_of(None)
    }

    /// Deletes a pod and what it ran, without a word to it.
    pub async fn kill_pod(&self, namespace: &str, pod: &str) {
        let pods = Api::<Pod>::namespaced(self.shared.client.clone(), namespace);
        let uid = pods.get(pod).await.unwrap().uid().unwrap();
        drop(self.pods.lock().unwrap().remove(&uid));
        self.shared.names.leave(namespace, pod);
        pods.delete(pod, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Ends what runs in a namespace, and runs nothing there any more.
    pub fn forget(&self, namespace: &str) {
        self.shared.forgotten.lock().unwrap().insert(namespace.to_owned());
        self.pods.lock().unwrap().retain(|uid, task| {
            let pod = task.newest.borrow();
            let stays = pod.namespace().as_deref() != Some(namespace);
            if !stays {
                self.shared.names.leave(namespace, &pod.name_any());
                self.shared.machines.leave(uid);
            }
            drop(pod);
            stays
        });
    }

    /// A disk breaks: what is behind a claim is gone, with the process that used it.
    pub async fn lose_disk(&self, namespace: &str, claim: &str) {
        let client = self.shared.client.clone();
        let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
        let lost = claims.get(claim).await.unwrap();
        let volume = lost.spec.unwrap().volume_name.unwrap();
        let dir = self.shared.disk(&volume);
        std::fs::rename(&dir, dir.with_extension("lost")).unwrap();
        let volumes = Api::<PersistentVolume>::all(client.clone());
        volumes.delete(&volume, &DeleteParams::default()).await.unwrap();
        let status = Patch::Merge(json!({ "status": { "phase": "Lost" } }));
        claims.patch_status(claim, &PatchParams::default(), &status).await.unwrap();
        let pods = Api::<Pod>::namespaced(client, namespace);
        let users = pods.list(&ListParams::default()).await.unwrap().items.into_iter();
        for pod in users.filter(|pod| claims::names(pod).iter().any(|name| name == claim)) {
            self.kill_pod(namespace, &pod.name_any()).await;
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.pods.lock().unwrap().clear();
    }
}

impl Shared {
    /// The environment of a pod, or of one outside.
    fn env_of(&self, pod: Option<(String, String)>) -> Env {
        let net = Arc::new(PodNet::new(Arc::clone(&self.names), pod));
        Env { net, ..self.env.clone() }
    }

    /// Where the bytes of a PersistentVolume are.
    fn disk(&self, volume: &str) -> PathBuf {
        self.dir.join("disks").join(volume)
    }
}

/// One task per pod, which hears of every change of it.
async fn look_after(shared: Arc<Shared>, pods: Arc<Mutex<BTreeMap<String, PodTask>>>) {
    let api = Api::<Pod>::all(shared.client.clone());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Apply(pod) | Event::InitApply(pod))) => {
                if shared.forgotten.lock().unwrap().contains(&pod.namespace().unwrap()) {
                    continue;
                }
                let mut pods = pods.lock().unwrap();
                let uid = pod.uid().unwrap();
                if let Some(task) = pods.get(&uid) {
                    drop(task.newest.send_replace(pod));
                } else {
                    let (newest, changes) = watch::channel(pod);
                    let task = tokio::spawn(life::live(Arc::clone(&shared), changes));
                    pods.insert(uid, PodTask { newest, task });
                }
            }
            Ok(Some(Event::Delete(pod))) => {
                drop(pods.lock().unwrap().remove(&pod.uid().unwrap()));
                shared.names.leave(&pod.namespace().unwrap(), &pod.name_any());
                shared.machines.leave(&pod.uid().unwrap());
            }
            Ok(Some(Event::Init | Event::InitDone)) => {}
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "the watch of pods broke"),
        }
    }
}
