#![expect(clippy::disallowed_methods, reason = "lays out files as a cluster does")]

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_env::BoxFuture;
use http::Request;
use http_body_util::Full;

use super::super::TLS_FILES;
use super::*;
use crate::client::NodeClient;
use crate::error::ApiError;
use crate::messages::Chain;
use crate::role::Role;
use crate::server::{Limits, Security};
use crate::tests::fixture::{Answer, Ca, Running, env, loopback, peer};
use crate::transport::TransportLimits;

/// The real clock, and what was added to it.
struct Ahead(Arc<dyn Clock>, AtomicU64);

impl Clock for Ahead {
    fn unix_millis(&self) -> u64 {
        self.0.unix_millis()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic() + Duration::from_secs(self.1.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

/// A server whose certificates are a volume of a pod.
struct Scene {
    env: Env,
    clock: Arc<Ahead>,
    dir: tempfile::TempDir,
    swaps: u32,
}

impl Scene {
    fn new(identity: &TlsIdentity) -> Self {
        let mut env = env();
        let clock = Arc::new(Ahead(Arc::clone(&env.clock), AtomicU64::new(0)));
        env.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let dir = tempfile::tempdir().unwrap();
        let mut scene = Self { env, clock, dir, swaps: 0 };
        scene.swap(identity);
        for name in TLS_FILES {
            symlink(Path::new("..data").join(name), scene.dir.path().join(name)).unwrap();
        }
        scene
    }

    /// As a kubelet renews the files of a volume: a directory of its own, and one rename.
    fn swap(&mut self, identity: &TlsIdentity) {
        self.swaps += 1;
        let data = self.dir.path().join(format!("..{}", self.swaps));
        std::fs::create_dir(&data).unwrap();
        for (name, pem) in identity.files() {
            std::fs::write(data.join(name), pem).unwrap();
        }
        let link = self.dir.path().join("..data_tmp");
        symlink(data.file_name().unwrap(), &link).unwrap();
        std::fs::rename(link, self.dir.path().join("..data")).unwrap();
    }

    fn later(&self, seconds: u64) {
        self.clock.1.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn serve(&self) -> Running {
        let source = TlsSource::Directory(self.dir.path().to_owned());
        let credentials = Credentials::open(&self.env, &source).await.unwrap();
        let security = Security::Members(credentials);
        Running::start(&self.env, loopback(), security, Limits::default(), refuse).await
    }

    /// Whether a new connection comes to be.
    async fn lets_in(&self, server: &Running, credentials: &Credentials) -> bool {
        let limits = TransportLimits { most_idle_per_target: 0, ..TransportLimits::default() };
        let client = NodeClient::with(&self.env, credentials.clone(), limits);
        let answer = client.push_epoch(&server.target("node-1"), &Chain::default()).await;
        answer.unwrap_err().refusal().is_some()
    }
}

async fn refuse(_: Request<hyper::body::Incoming>) -> Answer {
    Ok(ApiError::not_found("hello").to_response().map(Full::new))
}

/// A certificate of `ca` for a process that trusts these.
fn trusting(ca: &Ca, name: (Role, &str), trusted: &[&Ca]) -> TlsIdentity {
    let roots = trusted.iter().map(|ca| ca.identity(&peer(Role::Node, "x")).ca_pem);
    TlsIdentity { ca_pem: roots.collect(), ..ca.identity(&peer(name.0, name.1)) }
}

const SERVER: (Role, &str) = (Role::Node, "node-1");
const CLIENT: (Role, &str) = (Role::Gateway, "gateway");

#[tokio::test]
async fn connections_take_renewed_files_within_a_minute() {
    let (old, new) = (Ca::new(), Ca::new());
    let mut scene = Scene::new(&trusting(&old, SERVER, &[&old]));
    let server = scene.serve().await;
    let fixed = |identity| Credentials::fixed(&scene.env, &identity).unwrap();
    let of_old = fixed(trusting(&old, CLIENT, &[&old]));
    let of_both = fixed(trusting(&old, CLIENT, &[&old, &new]));
    let of_new = fixed(trusting(&new, CLIENT, &[&new]));
    assert!(scene.lets_in(&server, &of_old).await);
    assert!(!scene.lets_in(&server, &of_new).await);

    scene.swap(&trusting(&new, SERVER, &[&old, &new]));
    scene.later(50);
    assert!(scene.lets_in(&server, &of_old).await, "nobody looked yet");
    scene.later(10);
    assert!(scene.lets_in(&server, &of_new).await);
    assert!(scene.lets_in(&server, &of_both).await, "both authorities are trusted");
    assert!(!scene.lets_in(&server, &of_old).await, "the server shows the new one's certificate");
    // A client in the middle of it, by hand.
    of_old.replace(&trusting(&new, CLIENT, &[&new])).unwrap();
    assert!(scene.lets_in(&server, &of_old).await);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_until_it_is_mended() {
    let (old, new) = (Ca::new(), Ca::new());
    let mut scene = Scene::new(&trusting(&old, SERVER, &[&old]));
    let server = scene.serve().await;
    let good = trusting(&new, SERVER, &[&old, &new]);
    let half =
        TlsIdentity { key_pem: old.identity(&peer(Role::Node, "y")).key_pem, ..good.clone() };
    let other = trusting(&new, (Role::Node, "node-2"), &[&old, &new]);
    let garbage = TlsIdentity { ca_pem: "no".to_owned(), ..good.clone() };
    let of_old = Credentials::fixed(&scene.env, &trusting(&old, CLIENT, &[&old])).unwrap();
    for bad in [half, other.clone(), garbage] {
        scene.swap(&bad);
        scene.later(60);
        assert!(scene.lets_in(&server, &of_old).await);
    }
    scene.swap(&good);
    scene.later(60);
    assert!(!scene.lets_in(&server, &of_old).await);
    let credentials = Credentials::fixed(&scene.env, &good).unwrap();
    let error = credentials.replace(&other).unwrap_err();
    assert!(matches!(error, TlsError::OtherPeer { .. }), "{error}");
    server.stop().await;
}
