//! Disks: directories of a node, each a `local` PersistentVolume, so that a volume's data lives and
//! dies with its node as it does where disks are real.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::processes::wait_for;
use super::site::Site;

/// The class of all volumes, and the default one.
const CLASS: &str = "local";
const ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";
/// How long a disk may take to be emptied under whoever still runs on it.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);
/// What every volume claims to hold; nobody measures.
const CAPACITY: &str = "10Gi";

/// Offers the volumes of all disks; a disk that was lost is replaced by a new, empty one.
pub(super) fn ensure_all(site: &Site) -> anyhow::Result<()> {
    let mut documents = vec![class()];
    for node in site.all_nodes() {
        for slot in 1..=site.disks {
            documents.push(volume(site, node, &ensure_disk(site, node, slot)?));
        }
    }
    site.apply(&json!({"apiVersion": "v1", "kind": "List", "items": documents}))
}

/// A disk dies: its directory is gone, and its volume. The claim bound to it is left with nothing, as
/// Kubernetes shows it: phase `Lost`. With `is_replaced` a new, empty disk stands in its slot at once.
pub(super) fn lose(site: &Site, volume_name: &str, is_replaced: bool) -> anyhow::Result<()> {
    let (node, disk) = parse(volume_name).with_context(|| {
        format!("{volume_name} is none of this cluster's volumes, as node-1-d1 is")
    })?;
    let node = site.checked(node)?;
    let dir = site.node_dir(node);
    let path = dir.join("disks").join(disk);
    ensure!(path.is_dir(), "{volume_name} has no disk: it was lost before, or never was");
    // Moved first: who looks while it is removed sees a whole disk or none.
    let lost = dir.join("lost").join(disk);
    fs::rename(&path, &lost).with_context(|| format!("move {}", path.display()))?;
    remove_content(&lost)?;
    // Its finalizer waits for the claim, which would keep its volume for ever.
    site.kubectl(&format!(
        "delete persistentvolume {volume_name} --ignore-not-found --wait=false"
    ))?;
    let unprotect = format!(
        "patch persistentvolume {volume_name} --type=merge -p {{\"metadata\":{{\"finalizers\":null}}}}"
    );
    if let Err(error) = site.kubectl(&unprotect)
        && !format!("{error:#}").contains("not found")
    {
        return Err(error);
    }
    if is_replaced {
        let disk = ensure_disk(site, node, slot_of(disk).context("a disk without a slot")?)?;
        site.apply(&volume(site, node, &disk))?;
        println!("node-{node}-{disk}");
    }
    Ok(())
}

/// The disk in a slot: `d1`, and once that was lost `d1-2`, and so on. A lost one's name is not used
/// again, for its claim would be bound to the new one, whose name it still holds.
fn ensure_disk(site: &Site, node: u8, slot: u8) -> anyhow::Result<String> {
    let dir = site.node_dir(node);
    let of_slot = |folder: &str| -> anyhow::Result<Vec<String>> {
        let entries = fs::read_dir(dir.join(folder)).with_context(|| format!("read {folder}"))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if slot_of(&name) == Some(slot) {
                names.push(name);
            }
        }
        Ok(names)
    };
    if let Some(disk) = of_slot("disks")?.pop() {
        return Ok(disk);
    }
    let disk = match of_slot("lost")?.len() {
        0 => format!("d{slot}"),
        lost => format!("d{slot}-{}", lost + 1),
    };
    let path = dir.join("disks").join(&disk);
    fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(disk)
}

/// `node-3-d1-2` is disk `d1-2` of node 3.
fn parse(volume_name: &str) -> Option<(u8, &str)> {
    let (node, disk) = volume_name.strip_prefix("node-")?.split_once('-')?;
    slot_of(disk)?;
    Some((node.parse().ok()?, disk))
}

/// The slot of a disk: `d1-2` is in slot 1.
fn slot_of(disk: &str) -> Option<u8> {
    let (slot, generation) = match disk.strip_prefix('d')?.split_once('-') {
        Some((slot, generation)) => (slot, generation.parse::<u32>().ok()?),
        None => (disk.strip_prefix('d')?, 1),
    };
    (generation > 0).then(|| slot.parse().ok()).flatten()
}

/// Empties a directory and leaves it, as the mark of a lost disk. Who still runs on it may make and
/// remove files meanwhile, until it finds its disk gone.
fn remove_content(dir: &Path) -> anyhow::Result<()> {
    wait_for(&format!("{} empty", dir.display()), EMPTY_WITHIN, || {
        for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
            let path = entry?.path();
            let is_dir = path.is_dir() && !path.is_symlink();
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("remove {}", path.display()))?;
        }
        Ok(())
    })
}

fn class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {ANNOTATION: "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Not hostPath: kubelet gives those no fsGroup, and a pod that is not root could not write.
fn volume(site: &Site, node: u8, disk: &str) -> Value {
    let host = json!({
        "key": "kubernetes.io/hostname", "operator": "In", "values": [format!("node-{node}")]});
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": format!("node-{node}-{disk}")},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": site.node_dir(node).join("disks").join(disk)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
        },
    })
}
