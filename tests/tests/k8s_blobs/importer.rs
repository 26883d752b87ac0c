//! The kubelet of importer pods: the real Job controller makes them, their container is the real
//! `floe import`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::scene::Shop;

/// Between two looks for pods.
const PACE: Duration = Duration::from_millis(100);
/// Where the pod expects its files.
const START_DIR: &str = "/etc/floe";

/// Starts the controllers, and runs pods until the handle is dropped.
pub(crate) fn attend(shop: &mut Shop, hold: tokio::sync::watch::Receiver<bool>) -> Importer {
    let names = ["job-controller", "serviceaccount-controller"];
    shop.api_server.start_controllers(&shop.scene, &names);
    let pods = Api::<Pod>::namespaced(shop.client.clone(), "shop");
    let world = World {
        pods: pods.clone(),
        secrets: Api::namespaced(shop.client.clone(), "shop"),
        config_maps: Api::namespaced(shop.client.clone(), "shop"),
        url: format!("https://{}", shop.gateway_address),
        dir: shop.scene.dir().join("pods"),
        hold,
    };
    Importer(tokio::spawn(async move {
        loop {
            // At the end of the test the API server may go first.
            let found = pods.list(&ListParams::default()).await.map(|found| found.items);
            for pod in found.unwrap_or_default() {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if phase == Some("Pending") {
                    world.run(&pod).await;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }))
}

/// Ends when it is dropped.
pub(crate) struct Importer(JoinHandle<()>);

impl Drop for Importer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct World {
    pods: Api<Pod>,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    url: String,
    dir: std::path::PathBuf,
    hold: tokio::sync::watch::Receiver<bool>,
}

impl World {
    async fn run(&self, pod: &Pod) {
        let spec = pod.spec.as_ref().unwrap();
        let dir = self.dir.join(pod.name_any());
        fs::create_dir_all(&dir).unwrap();
        // Until then a test may change what is mounted.
        self.hold.clone().wait_for(|held| !held).await.unwrap();
        for volume in spec.volumes.iter().flatten() {
            self.mount(volume, &dir).await;
        }
        let mut words: Vec<String> = spec.containers[0].args.clone().unwrap();
        for word in &mut words {
            *word = word.replace(START_DIR, dir.to_str().unwrap());
        }
        let url = words.iter().position(|word| word == "--url").unwrap();
        words[url + 1].clone_from(&self.url);
        let mut command = tokio::process::Command::new(floe_tests::process::floe_binary());
        let output = command.args(&words).output().await.unwrap();
        let code = output.status.code().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{} ended with {code}: {said}", pod.name_any());
        let terminated = json!({
            "exitCode": code,
            "message": if code == 0 { "" } else { said.as_ref() },
        });
        let status = json!({
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{
                "name": spec.containers[0].name,
                "image": "floe:test",
                "imageID": "",
                "ready": false,
                "restartCount": 0,
                "state": {"terminated": terminated},
            }],
        });
        let patch = Patch::Merge(json!({ "status": status }));
        self.pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }

    /// Writes the files of a volume into one directory, as they are mounted into one.
    async fn mount(&self, volume: &Volume, dir: &Path) {
        let sources =
            volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for source in sources {
            if let Some(from) = &source.secret {
                let secret = self.secrets.get(&from.name).await.unwrap();
                for item in from.items.iter().flatten() {
                    let bytes = &secret.data.as_ref().unwrap()[&item.key].0;
                    fs::write(dir.join(&item.path), bytes).unwrap();
                }
            }
            if let Some(from) = &source.config_map {
                let config_map = self.config_maps.get(&from.name).await.unwrap();
                for item in from.items.iter().flatten() {
                    let text = &config_map.data.as_ref().unwrap()[&item.key];
                    fs::write(dir.join(&item.path), text).unwrap();
                }
            }
        }
    }
}
