//! Blobs on a real API server: brought, certified, refused, released, by the operator's reconcile, a
//! real committee and its gateway in this process.

#![allow(
    clippy::disallowed_methods,
    clippy::large_futures,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it runs on the real machine, and a broken assumption fails the test"
)]

mod importer;
mod scene;

use floe_crd::{Protection, condition};
use floe_tests::local::until;
use kube::ResourceExt as _;
use serde_json::json;

use scene::Shop;

fn sha256_of(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn content_comes_inline_by_upload_and_from_a_config_map() {
    let mut shop = Shop::open("k8s_blobs_come").await;
    let (_hold, held) = tokio::sync::watch::channel(false);
    let _importer = importer::attend(&mut shop, held);
    shop.kubectl.run(&["-n", "shop", "create", "configmap", "texts", "--from-literal=logo=<svg/>"]);
    let hello = "hello, floe\n";
    shop.apply(
        "greeting",
        json!({"contentType": "text/plain", "source": {"inline": {"text": hello}}, "digest": sha256_of(hello)}),
    );
    shop.apply("coded", json!({"source": {"inline": {"base64": "AAEC"}}}));
    shop.apply("report", json!({"source": {"upload": {}}}));
    shop.apply("logo", json!({"source": {"configMapKeyRef": {"name": "texts", "key": "logo"}}}));

    let (greeting, _) = shop.says("greeting", "Certified").await;
    let status = greeting.status.unwrap();
    assert_eq!((status.size, status.certified_epoch), (Some(12), Some(0)));
    assert_eq!(status.summary.size, "12 B");
    assert_eq!((status.protection, status.margin), (Some(Protection::Full), Some(2)));
    let keeper = status.committee_ref.unwrap();
    assert_eq!((keeper.namespace.as_str(), keeper.name.as_str()), ("floe", "main"));
    assert!(status.url.unwrap().ends_with("/v1/namespaces/shop/blobs/greeting"));
    assert_eq!(status.blob_id.unwrap().len(), 43);
    assert!(!condition::is_true(&status.conditions, condition::STALLED));
    shop.says("coded", "Certified").await;
    assert_eq!(shop.get("greeting").await.as_deref(), Some(hello.as_bytes()));
    assert_eq!(shop.get("coded").await.as_deref(), Some(&[0, 1, 2][..]));

    shop.says("report", "AwaitingUpload").await;
    assert_eq!(shop.put("report", b"uploaded").await, 201);
    shop.says("report", "Certified").await;
    let (logo, _) = shop.says("logo", "Certified").await;
    assert_eq!(logo.status.unwrap().importing, None);
    assert_eq!(shop.get("logo").await.as_deref(), Some(&b"<svg/>"[..]));
    // What a gateway makes itself is like any other.
    assert_eq!(shop.put("direct", b"no object before").await, 201);
    let (direct, _) = shop.says("direct", "Certified").await;
    assert_eq!(direct.finalizers(), ["floe.dev/finalizer"]);
    assert_eq!(shop.events("greeting"), ["Certified"]);

    // At rest nothing is written.
    shop.stop_operator().await;
    let version = async |name: &str| shop.blob(name).await.unwrap().resource_version();
    let names = ["greeting", "coded", "report", "logo", "direct"];
    let mut before = Vec::new();
    for name in names {
        before.push(version(name).await);
    }
    shop.reconcile_all(3).await;
    for (name, before) in names.into_iter().zip(before) {
        assert_eq!(version(name).await, before, "{name}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_does_not_come_says_why() {
    let shop = Shop::open("k8s_blobs_fail").await;
    let text = json!({"inline": {"text": "a"}});
    shop.apply("odd", json!({"source": text, "digest": sha256_of("b")}));
    let (odd, message) = shop.says("odd", "DigestMismatch").await;
    assert!(condition::is_true(&odd.status.unwrap().conditions, condition::STALLED));
    let expected = format!(
        "spec.source.inline has {}, spec.digest says {}; create a Blob with the right digest",
        sha256_of("a"),
        sha256_of("b").trim_start_matches("sha256:")
    );
    assert_eq!(message, expected);
    assert_eq!(shop.get("odd").await, None, "nothing was stored");
    assert_eq!(shop.events("odd"), ["DigestMismatch"]);

    shop.apply("early", json!({"source": {"upload": {"expireAfter": "1s"}}}));
    shop.says("early", "UploadExpired").await;
    assert_ne!(shop.put("early", b"too late").await, 201);

    // Another Committee, none, and one that does not take this namespace's blobs.
    let other = json!({"name": "other", "namespace": "floe"});
    shop.apply("lost", json!({"source": text, "committeeRef": other}));
    let (_, message) = shop.says("lost", "CommitteeNotFound").await;
    assert_eq!(message, "there is no Committee floe/other (there is floe/main)");
    let unmark = ["-n", "floe", "annotate", "committee", "main", "floe.dev/is-default-committee-"];
    shop.kubectl.run(&unmark);
    shop.apply("stray", json!({"source": text}));
    let (_, message) = shop.says("stray", "CommitteeNotFound").await;
    assert_eq!(message, "no default Committee; set spec.committeeRef (there is floe/main)");
    let gold = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
    let patch = json!({"spec": {"access": {"namespaces": gold}}}).to_string();
    let words = ["-n", "floe", "patch", "committee", "main", "--type=merge", "-p", &patch];
    shop.kubectl.run(&words);
    let main = json!({"name": "main", "namespace": "floe"});
    shop.apply("poor", json!({"source": text, "committeeRef": main}));
    let (_, message) = shop.says("poor", "CommitteeNotPermitted").await;
    assert_eq!(message, "floe/main admits namespaces with tier=gold; shop has none");
    shop.kubectl.run(&["label", "namespace", "shop", "tier=gold"]);
    shop.says("poor", "Certified").await;

    // A ticket is good for one Blob: what the operator signs for one is refused for another.
    let (status, answer) = shop.ask("PUT", "odd", "floe-ticket-v1.AAAA", b"x").await;
    assert_eq!(status, 401, "{}", String::from_utf8_lossy(&answer));
    let (status, _) = shop.ask("GET", "poor", "floe-ticket-v1.AAAA", b"").await;
    assert_eq!(status, 401);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_config_map_may_be_missing_incomplete_or_change_under_way() {
    let mut shop = Shop::open("k8s_blobs_config_maps").await;
    let (hold, held) = tokio::sync::watch::channel(true);
    let _importer = importer::attend(&mut shop, held);
    shop.apply("logo", json!({"source": {"configMapKeyRef": {"name": "texts", "key": "logo"}}}));
    let (_, message) = shop.says("logo", "ImportFailed").await;
    assert_eq!(message, "ConfigMap shop/texts, key logo: there is no such ConfigMap; create it");
    shop.kubectl.run(&["-n", "shop", "create", "configmap", "texts", "--from-literal=icon=<i/>"]);
    until("the missing key to be named", || async {
        let (_, message) = shop.says("logo", "ImportFailed").await;
        if message.ends_with("has no such key; add it") { Ok(()) } else { Err(message) }
    })
    .await;
    let set = |text: &str| {
        let patch = json!({"data": {"logo": text}}).to_string();
        let words = ["-n", "shop", "patch", "configmap", "texts", "--type=merge", "-p", &patch];
        shop.kubectl.run(&words);
    };
    set("<first/>");
    let (logo, _) = shop.says("logo", "Importing").await;
    assert_eq!(logo.status.unwrap().importing.unwrap().job_name, "floe-import-logo");
    // The ticket is for the first; what is mounted is the second. It is read again, and imported.
    set("<second/>");
    hold.send_replace(false);
    shop.says("logo", "Certified").await;
    assert_eq!(shop.get("logo").await.as_deref(), Some(&b"<second/>"[..]));

    shop.apply(
        "pinned",
        json!({
            "source": {"configMapKeyRef": {"name": "texts", "key": "logo"}},
            "digest": sha256_of("<first/>"),
        }),
    );
    shop.says("pinned", "DigestMismatch").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blob_leaves_when_its_release_is_stored() {
    let mut shop = Shop::open("k8s_blobs_leave").await;
    let inline = |text: &str| json!({"source": {"inline": {"text": text}}});
    for name in ["plain", "again", "stuck", "last"] {
        shop.apply(name, inline(name));
        shop.says(name, "Certified").await;
    }
    let mut kept = inline("kept");
    kept["deletionPolicy"] = json!("Retain");
    shop.apply("kept", kept);
    shop.says("kept", "Certified").await;
    shop.apply("unborn", json!({"source": {"upload": {}}}));
    shop.says("unborn", "AwaitingUpload").await;
    let delete = |name: &str| {
        shop.kubectl.run(&["-n", "shop", "delete", "blob", name, "--wait=false"]);
    };

    delete("plain");
    shop.gone("plain").await;
    assert_eq!(shop.get("plain").await, None);
    assert_eq!(shop.events("plain"), ["Certified", "Deleted"]);
    delete("kept");
    shop.gone("kept").await;
    assert_eq!(shop.get("kept").await.as_deref(), Some(&b"kept"[..]));
    assert_eq!(shop.events("kept"), ["Certified", "Retained"]);
    // Never certified: closed first, then released.
    delete("unborn");
    shop.gone("unborn").await;
    assert_eq!(shop.events("unborn"), ["Deleted"]);
    // The same name again is another Blob.
    delete("again");
    shop.gone("again").await;
    shop.apply("again", inline("another"));
    shop.says("again", "Certified").await;
    assert_eq!(shop.get("again").await.as_deref(), Some(&b"another"[..]));

    // Two of four nodes are away: the release waits for one of them.
    shop.committee.stop_all(&[1, 2]).await;
    shop.kubectl.run(&["-n", "shop", "delete", "blob", "stuck", "--wait=false"]);
    until("the deletion to be blocked", || async {
        let status = shop.blob("stuck").await.unwrap().status.unwrap();
        let blocked = condition::get(&status.conditions, condition::DELETION_BLOCKED);
        let blocked = blocked.ok_or("not yet")?.message.clone();
        if blocked.contains("3 are needed") { Ok(()) } else { Err(blocked) }
    })
    .await;
    shop.committee.restart(1).await;
    shop.gone("stuck").await;
    shop.committee.restart(2).await;

    // Without its Committee a Blob just goes.
    shop.kubectl.run(&["-n", "floe", "delete", "committee", "main", "--wait=false"]);
    shop.forget_committee();
    shop.kubectl.run(&["-n", "shop", "delete", "blob", "last", "--wait=false"]);
    shop.gone("last").await;
    assert_eq!(shop.events("last"), ["Certified", "Orphaned"]);
    shop.close().await;
}
