//! What the tests of servers and clients share: certificates, and a server on loopback.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use floe_env::{BoxFuture, BoxStream, Env, Listener, Net, Task, real_env};
use floe_model::{CommitteeId, Incarnation};
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use crate::role::{Peer, Role};
use crate::server::{Limits, Security, serve};
use crate::tls::TlsIdentity;
use crate::transport::Target;

pub(crate) const COMMITTEE: CommitteeId = CommitteeId([0x11; 16]);

pub(crate) fn env() -> Env {
    real_env(1).unwrap()
}

pub(crate) fn peer(role: Role, name: &str) -> Peer {
    Peer { committee: COMMITTEE, role, name: name.to_owned(), incarnation: Incarnation(0) }
}

/// A certificate authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate as the committee's trust makes them.
    pub(crate) fn identity(&self, peer: &Peer) -> TlsIdentity {
        self.with_names(&[Self::uri(&peer.spiffe_uri()), Self::dns(&peer.dns_name())], 2090)
    }

    /// A certificate of these names that ends with the year before `until`.
    pub(crate) fn with_names(&self, names: &[SanType], until: i32) -> TlsIdentity {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.not_before = date_time_ymd(1990, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        TlsIdentity {
            ca_pem: self.0.pem(),
            certificate_pem: params.signed_by(&key, &self.0).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    pub(crate) fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }
}

pub(crate) type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// A server on loopback.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Connections accepted so far.
    pub(crate) accepted: Arc<AtomicUsize>,
    pub(crate) task: Task,
    stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) async fn start<F>(
        env: &Env,
        address: SocketAddr,
        security: Security,
        limits: Limits,
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Unpin + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let accepted = Arc::new(AtomicUsize::new(0));
        let inner = env.net.listen(address).await.unwrap();
        let listener = Counting { inner, accepted: Arc::clone(&accepted) };
        let address = listener.local_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = serve(
            env.clone(),
            Box::new(listener),
            security,
            tower::service_fn(answer),
            limits,
            stopped.map(drop),
        );
        let task = env.spawn.spawn("test-server", serve.boxed());
        Self { address, accepted, task, stop }
    }

    /// Shuts down and waits for the end.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(());
        self.task.join().await.unwrap();
    }

    /// Begins to shut down.
    pub(crate) fn begin_stop(self) -> Task {
        let _ = self.stop.send(());
        self.task
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The node of this name, here.
    pub(crate) fn target(&self, node: &str) -> Target {
        Target {
            node: node.parse().unwrap(),
            incarnation: Incarnation(0),
            address: self.address.to_string(),
        }
    }
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A network inside this process: with it and tokio's paused clock, time passes only when nothing
/// else can happen.
#[derive(Default)]
pub(crate) struct MemoryNet(Mutex<BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>>);

const MEMORY_ADDRESS: &str = "10.0.0.1:1";

impl Net for MemoryNet {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, std::io::Result<BoxStream>> {
        async move {
            let (near, far) = duplex(64 * 1024);
            let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            let listeners = self.0.lock().unwrap();
            listeners.get(address).ok_or_else(refused)?.send(far).map_err(|_| refused())?;
            Ok(Box::new(near) as BoxStream)
        }
        .boxed()
    }

    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, std::io::Result<Box<dyn Listener>>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(MEMORY_ADDRESS.to_owned(), sender);
        async { Ok(Box::new(MemoryListener(receiver)) as Box<dyn Listener>) }.boxed()
    }
}

struct MemoryListener(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, std::io::Result<(BoxStream, SocketAddr)>> {
        async {
            let stream = self.0.recv().await.unwrap();
            Ok((Box::new(stream) as BoxStream, MEMORY_ADDRESS.parse().unwrap()))
        }
        .boxed()
    }

    fn local_address(&self) -> std::io::Result<SocketAddr> {
        Ok(MEMORY_ADDRESS.parse().unwrap())
    }
}

struct Counting {
    inner: Box<dyn Listener>,
    accepted: Arc<AtomicUsize>,
}

impl Listener for Counting {
    fn accept(&mut self) -> BoxFuture<'_, std::io::Result<(BoxStream, SocketAddr)>> {
        async move {
            let accepted = self.inner.accept().await?;
            self.accepted.fetch_add(1, Ordering::SeqCst);
            Ok(accepted)
        }
        .boxed()
    }

    fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_address()
    }
}
