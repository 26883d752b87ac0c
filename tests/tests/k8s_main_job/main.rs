//! The main job on a real Kubernetes: five hosts, four storage nodes, and all that befalls them, with
//! the kubectl and Helm that people have. A reader and a writer are at work all the while.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it runs real processes, and a broken assumption fails the test"
)]

mod archive;
mod load;
mod site;

use std::time::Duration;

use floe_tests::process::content;

use self::archive::Archive;
use self::load::{Load, READ};
use self::site::Site;

const SOON: Duration = Duration::from_mins(3);
/// The committee's loss grace from the upgrade on; before it is the default, ten minutes.
const LOSS_GRACE: &str = "30s";
/// For how long deleted content can be brought back.
const UNDELETE_WINDOW: &str = "60s";

#[test]
fn a_committee_outlives_what_befalls_it() {
    let Some(site) = Site::up("k8s_main_job") else { return };
    let mut archive = Archive::default();
    Site::timed("install to Committee Ready", || install(&site));
    println!("{}", site.helm("test main -n floe --logs --timeout 3m"));
    let read = first_blobs(&site, &mut archive);
    let load = Load::start(site.application("reader"), site.application("writer"), read);
    let after = |step: &str, archive: &Archive| {
        site.wait_whole(SOON);
        load.check(step);
        archive.read_all(&site.application("checker"), step);
    };

    deleted_pod(&site);
    after("a deleted pod", &archive);
    lost_disk(&site);
    after("a lost disk", &archive);
    stopped_host(&site, &mut archive);
    after("a host that came back", &archive);
    upgrade(&site);
    lost_host(&site);
    after("a host that stayed away too long", &archive);
    killed_repair(&site);
    after("a repair whose operator and Job were killed", &archive);
    drains(&site);
    after("drains", &archive);

    let writes = load.stop();
    for number in 0..writes {
        archive.expect(&format!("load-{number}"), &content(1000 + number, load::WRITTEN_BYTES));
    }
    deletion(&site, &mut archive);
    site.check_figures();
    installed_anew(&site);
    site.wait_whole(SOON);
    archive.read_all(&site.application("checker"), "an installation anew");
}

fn install(site: &Site) {
    let (repository, tag) = site.image();
    site.helm(&format!(
        "install floe-operator {} -n floe-system --create-namespace --wait --timeout 3m \
         --set image.repository={repository} --set image.tag={tag}",
        Site::path("charts/floe-operator")
    ));
    site.helm(&format!(
        "install main {} -n floe --create-namespace --set replicas=4 --set storage.size=1Gi \
         --set resources.requests.cpu=50m --set resources.requests.memory=128Mi \
         --set spec.deletion.undeleteWindow={UNDELETE_WINDOW} --set test.image={repository}:{tag}",
        Site::path("charts/floe-committee")
    ));
    site.kubectl(&["-n", "floe", "wait", "fc/main", "--for=condition=Ready", "--timeout=3m"]);
    println!("{}", site.kubectl(&["get", "fc,fn", "-A"]));
}

/// The samples, one large file and one that the load reads. Gives the latter.
fn first_blobs(site: &Site, archive: &mut Archive) -> Vec<u8> {
    site.kubectl(&["create", "namespace", "shop"]);
    site.kubectl(&["-n", "shop", "apply", "-f", &Site::path("deploy/samples/access.yaml")]);
    site.kubectl(&["-n", "shop", "apply", "-f", &Site::path("deploy/samples/blobs.yaml")]);
    let application = site.application("checker");
    archive.put(&application, "toolchain", 1, 64 << 20);
    let read = content(2, 300_000);
    application.put(READ, &read).unwrap();
    archive.expect(READ, &read);
    site.wait("the samples are Certified, or await their upload", SOON, || {
        let reasons = site.kubectl(&[
            "-n", "shop", "get", "fb", "-o",
            r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].reason}{"\n"}{end}"#,
        ]);
        let is_fine = reasons.lines().all(|line| {
            line.ends_with("=Certified") || line.ends_with("=AwaitingUpload")
        });
        let awaits = reasons.lines().any(|line| line.ends_with("=AwaitingUpload"));
        if is_fine && awaits { Ok(()) } else { Err(reasons) }
    });
    println!("{}", site.kubectl(&["get", "fc,fn,fb", "-A"]));
    read
}

/// It comes back; nothing is repaired that is not missing.
fn deleted_pod(site: &Site) {
    let before = site.jobs();
    let restored = site.restored_bytes("main-0");
    site.kubectl(&["-n", "floe", "delete", "pod", &site.pod("main-0")]);
    site.wait_whole(SOON);
    assert_eq!(site.jobs(), before, "a Job was made for a pod that only restarted");
    assert!(
        site.restored_bytes("main-0") <= restored.max(1 << 20),
        "what was not missing was rebuilt"
    );
}

/// The next epoch record, a new volume, one Job; Events tell the story.
fn lost_disk(site: &Site) {
    let incarnation = site.incarnation("main-1");
    Site::timed("disk lost to whole", || {
        site.lose_disk("main-1");
        Site::timed("disk lost to the next incarnation", || {
            site.wait("main-1 has its next volume", SOON, || {
                let now = site.incarnation("main-1");
                (now > incarnation).then_some(()).ok_or(format!("incarnation {now}"))
            });
        });
        site.wait_whole(SOON);
    });
    let jobs = site.jobs_of("main-1");
    assert_eq!(jobs.len(), 1, "one repair Job for the StorageNode: {jobs:?}");
    let events = site.events("main-1");
    assert!(events.contains("VolumeLost"), "no Event tells of the loss:\n{events}");
    println!("{events}");
    let revisions = site.kubectl(&["-n", "floe", "get", "controllerrevisions", "-o", "name"]);
    assert!(revisions.contains("main-1"), "no epoch record was written:\n{revisions}");
}

/// Reads and writes go on; it heals what it missed, without a Job.
fn stopped_host(site: &Site, archive: &mut Archive) {
    let before = site.jobs();
    let host = site.host("main-2");
    site.stop_host(&host);
    site.wait_not_ready(&host);
    archive.put(&site.application("checker"), "while-away", 3, 2 << 20);
    site.start_host(&host);
    site.wait_whole(SOON);
    assert_eq!(site.jobs(), before, "a Job was made for a node that was only away");
}

fn upgrade(site: &Site) {
    site.helm(&format!(
        "upgrade main {} -n floe --reuse-values --set spec.repair.lossGrace={LOSS_GRACE}",
        Site::path("charts/floe-committee")
    ));
    site.wait("the Committee's status follows its spec", SOON, || {
        let generations = site.kubectl(&[
            "-n", "floe", "get", "fc/main", "-o",
            r#"jsonpath={.metadata.generation}={.status.conditions[?(@.type=="Ready")].observedGeneration}"#,
        ]);
        let same = generations.split_once('=').is_some_and(|(one, other)| one == other);
        if same { Ok(()) } else { Err(generations) }
    });
}

/// Its replacement starts on the spare host; when the old one returns it is refused.
fn lost_host(site: &Site) {
    let (incarnation, host) = (site.incarnation("main-3"), site.host("main-3"));
    site.stop_host(&host);
    site.wait("main-3 has its next volume", SOON, || {
        let now = site.incarnation("main-3");
        (now > incarnation).then_some(()).ok_or(format!("incarnation {now}"))
    });
    site.wait_whole(SOON);
    assert_ne!(site.host("main-3"), host, "its replacement runs on the spare host");
    site.start_host(&host);
    site.wait("the old pod is gone", SOON, || {
        let pods = site.kubectl(&[
            "-n",
            "floe",
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/component=storage-node,floe.dev/storage-node=main-3",
            "-o",
            "name",
        ]);
        if pods.lines().count() == 1 { Ok(()) } else { Err(pods) }
    });
    let claims = site.kubectl(&["-n", "floe", "get", "pvc", "-l", "floe.dev/retired=true"]);
    assert!(claims.contains("data-main-3"), "the old volume is kept:\n{claims}");
}

/// The same end state.
fn killed_repair(site: &Site) {
    let incarnation = site.incarnation("main-0");
    site.lose_disk("main-0");
    site.wait("a repair Job of main-0", SOON, || {
        let jobs = site.jobs_of("main-0");
        if jobs.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    site.kubectl(&["-n", "floe-system", "delete", "pod", "--all", "--wait=false"]);
    let words =
        ["-n", "floe", "delete", "pod", "--wait=false", "--force", "--grace-period=0", "-l"];
    let repair = "app.kubernetes.io/component=repair";
    site.kubectl(&[words.as_slice(), &[repair]].concat());
    site.wait_whole(SOON);
    assert_eq!(site.incarnation("main-0"), incarnation + 1);
    assert_eq!(site.jobs_of("main-0").len(), 1);
}

/// Allowed when safe, refused when not, allowed again once healed.
fn drains(site: &Site) {
    let (first, second) = (site.host("main-1"), site.host("main-2"));
    site.drain(&first).unwrap_or_else(|why| panic!("a drain that is safe was refused: {why}"));
    let refused = site.drain(&second).expect_err("a second drain would stop writes");
    assert!(refused.contains("disruption budget"), "{refused}");
    site.wait("DrainBlocked says why", SOON, || {
        let message = site.condition("main-2", "DrainBlocked");
        if message.contains("clears when back: main-1") { Ok(()) } else { Err(message) }
    });
    println!("DrainBlocked: {}", site.condition("main-2", "DrainBlocked"));
    site.kubectl(&["uncordon", &first]);
    site.kubectl(&["uncordon", &second]);
    site.wait_whole(SOON);
    site.drain(&second).unwrap_or_else(|why| panic!("once healed a drain is safe: {why}"));
    site.kubectl(&["uncordon", &second]);
}

/// After the window its slivers leave the disks.
fn deletion(site: &Site, archive: &mut Archive) {
    let application = site.application("checker");
    let bytes = content(4, 5 << 20);
    let before = site.held_slivers_at_most(None);
    application.put("short-lived", &bytes).unwrap();
    site.kubectl(&["-n", "shop", "delete", "fb", "short-lived", "--timeout=60s"]);
    assert!(application.attempt(&["get", "shop/short-lived", "-"]).is_err());
    application.retry(&["undelete", "shop/short-lived"]).unwrap();
    assert_eq!(application.get("short-lived").unwrap(), bytes);
    archive.expect("short-lived", &bytes);
    site.kubectl(&["-n", "shop", "delete", "fb", "short-lived", "--timeout=60s"]);
    archive.forget("short-lived");
    site.held_slivers_at_most(Some(before));
}

/// Helm takes nothing away that holds data: installing again finds every blob.
fn installed_anew(site: &Site) {
    site.helm("uninstall main -n floe --wait");
    site.kubectl(&[
        "-n",
        "floe",
        "patch",
        "fc",
        "main",
        "--type",
        "merge",
        "-p",
        r#"{"spec":{"deletion":{"confirmation":"yes-really-destroy-data"}}}"#,
    ]);
    site.kubectl(&["-n", "floe", "delete", "fc", "main", "--timeout=120s"]);
    site.helm("uninstall floe-operator -n floe-system --wait");
    let claims = site.kubectl(&["-n", "floe", "get", "pvc", "-o", "name"]);
    assert!(claims.lines().count() >= 4, "volumes stay:\n{claims}");
    install(site);
    println!("{}", site.kubectl_floe(&["adopt", "main", "-n", "floe"]));
}
