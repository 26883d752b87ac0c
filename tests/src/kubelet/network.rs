//! Names of Services, and the network of pods.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use floe_env::{BoxFuture, BoxStream, Listener, Net, TcpNet};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::task::JoinHandle;

/// Namespace and name.
type PodName = (String, String);

/// Where pods listen, and by which names they are found.
pub(super) struct Names {
    services: Store<Service>,
    pods: Mutex<BTreeMap<PodName, Place>>,
    watching: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Place {
    labels: BTreeMap<String, String>,
    is_ready: bool,
    /// The port a container asked for, and where it got one.
    ports: BTreeMap<u16, SocketAddr>,
}

impl Drop for Names {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Names {
    /// Follows the cluster's Services.
    pub(super) fn watch(client: &Client) -> Self {
        let (services, writer) = store();
        let watch = watcher(Api::<Service>::all(client.clone()), watcher::Config::default());
        let changes = reflector(writer, watch.default_backoff());
        let watching = tokio::spawn(changes.for_each(|_| std::future::ready(())));
        Self { services, pods: Mutex::default(), watching }
    }

    /// A pod has begun.
    pub(super) fn join(&self, namespace: &str, pod: &str, labels: BTreeMap<String, String>) {
        let place = Place { labels, ..Place::default() };
        self.pods.lock().unwrap().insert((namespace.to_owned(), pod.to_owned()), place);
    }

    /// A pod has ended.
    pub(super) fn leave(&self, namespace: &str, pod: &str) {
        self.pods.lock().unwrap().remove(&(namespace.to_owned(), pod.to_owned()));
    }

    /// A pod is ready, or is so no longer.
    pub(super) fn set_ready(&self, namespace: &str, pod: &str, is_ready: bool) {
        let name = (namespace.to_owned(), pod.to_owned());
        if let Some(place) = self.pods.lock().unwrap().get_mut(&name) {
            place.is_ready = is_ready;
        }
    }

    /// Where a pod listens that asked for `port`.
    pub(super) fn port(&self, namespace: &str, pod: &str, port: u16) -> Option<SocketAddr> {
        let pods = self.pods.lock().unwrap();
        pods.get(&(namespace.to_owned(), pod.to_owned()))?.ports.get(&port).copied()
    }

    /// `SERVICE.NAMESPACE.svc` and a port of it.
    fn resolve(&self, service: &str, namespace: &str, port: u16) -> Option<SocketAddr> {
        let spec = self.services.get(&ObjectRef::new(service).within(namespace))?.spec.clone()?;
        let is_headless = spec.cluster_ip.as_deref() == Some("None");
        let ports = spec.ports.unwrap_or_default();
        let named = ports.into_iter().find(|it| it.port == i32::from(port));
        let target = match named.and_then(|it| it.target_port) {
            Some(IntOrString::Int(target)) if !is_headless => u16::try_from(target).unwrap(),
            Some(IntOrString::String(_)) if !is_headless => CONTAINER_PORT_OF_GATEWAYS,
            _ => port,
        };
        let anyone = spec.publish_not_ready_addresses == Some(true);
        let selector = spec.selector.unwrap_or_default();
        let pods = self.pods.lock().unwrap();
        let mut chosen = pods.iter().filter(|((at, _), place)| {
            let selected = selector.iter().all(|(key, value)| place.labels.get(key) == Some(value));
            at == namespace && selected && (anyone || place.is_ready)
        });
        chosen.find_map(|(_, place)| place.ports.get(&target).copied())
    }
}

/// What a Service means that names a port of the gateway's pods.
const CONTAINER_PORT_OF_GATEWAYS: u16 = floe_crd::names::GATEWAY_PORT;

/// The network as a pod sees it, or somebody outside who can resolve names.
pub(super) struct PodNet {
    names: Arc<Names>,
    pod: Option<PodName>,
}

impl PodNet {
    pub(super) fn new(names: Arc<Names>, pod: Option<PodName>) -> Self {
        Self { names, pod }
    }

    fn find(&self, address: &str) -> Result<Option<SocketAddr>> {
        let split = address.rsplit_once(':').and_then(|(host, port)| {
            let (service, rest) = host.split_once('.')?;
            let namespace = rest.strip_suffix(".svc")?;
            Some((service, namespace, port.parse().ok()?))
        });
        let Some((service, namespace, port)) = split else { return Ok(None) };
        let nobody = || Error::new(ErrorKind::ConnectionRefused, format!("nobody is {address}"));
        self.names.resolve(service, namespace, port).map(Some).ok_or_else(nobody)
    }
}

impl Net for PodNet {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<BoxStream>> {
        Box::pin(async move {
            match self.find(address)? {
                Some(found) => TcpNet.connect(&found.to_string()).await,
                None => TcpNet.connect(address).await,
            }
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let Some(pod) = &self.pod else { return TcpNet.listen(address).await };
            let listener = TcpNet.listen((Ipv4Addr::LOCALHOST, 0).into()).await?;
            let mut pods = self.names.pods.lock().unwrap();
            if let Some(place) = pods.get_mut(pod) {
                place.ports.insert(address.port(), listener.local_address()?);
            }
            Ok(listener)
        })
    }
}
