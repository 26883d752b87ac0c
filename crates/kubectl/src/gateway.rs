//! The way to a committee's gateway: which, whom to trust, who asks, and a stream to it.

mod choice;
mod token;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use floe_crd::labels::{self, Component};
use floe_crd::{Blob, Committee, CommitteeReference, names};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::args::WayArguments;
use crate::cluster::{Cluster, namespaced};
use crate::exit::{Ended, Exit};

/// The key of the CA in its ConfigMap.
const CA_KEY: &str = "ca.crt";
/// Set in every pod.
const INSIDE: &str = "KUBERNETES_SERVICE_HOST";

/// A Service leads to any of its pods.
const ATTEMPTS_AT_A_SERVICE: usize = 3;

/// A byte stream both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any [`Stream`].
pub type BoxStream = Box<dyn Stream>;

/// Opens a stream to a host and port; asked again, perhaps to another of its pods.
pub type Dial = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<BoxStream>> + Send + Sync>;

/// How a gateway is talked to.
pub struct Way {
    /// Its address; its certificate names the host.
    pub url: String,
    /// Whom to trust, PEM.
    pub ca_pem: String,
    /// Who asks.
    pub token: String,
    /// Gets there, whatever the address says.
    pub dial: Dial,
    /// How often to dial: behind the first may be a pod whose host just went away.
    pub attempts: usize,
}

/// Finds the way to the gateway that has a Blob, or is to have it.
pub async fn way(
    cluster: &Cluster,
    arguments: &WayArguments,
    (namespace, name): (&str, &str),
) -> anyhow::Result<Way> {
    let reference = committee(cluster, arguments, (namespace, name)).await?;
    let CommitteeReference { name: committee, namespace: home } = &reference;
    let committees = Api::<Committee>::namespaced(cluster.client.clone(), home);
    let object = committees.get(committee).await.context("the Committee cannot be read")?;
    let token = token::token(cluster, arguments, &object, namespace).await?;
    let (dial, attempts) = if std::env::var_os(INSIDE).is_some() {
        (tcp(), ATTEMPTS_AT_A_SERVICE)
    } else {
        forward(cluster, &reference).await?
    };
    Ok(Way {
        url: format!("https://{}", names::gateway_host(committee, home)),
        ca_pem: ca(cluster, &reference).await?,
        token,
        dial,
        attempts,
    })
}

async fn committee(
    cluster: &Cluster,
    arguments: &WayArguments,
    (namespace, name): (&str, &str),
) -> anyhow::Result<CommitteeReference> {
    if let Some(named) = &arguments.committee {
        let (namespace, name) = namespaced(named, &cluster.namespace)?;
        return Ok(CommitteeReference { name, namespace });
    }
    let blobs = Api::<Blob>::namespaced(cluster.client.clone(), namespace);
    let blob = blobs.get_opt(name).await.context("the Blob cannot be read")?;
    if let Some(reference) = blob.as_ref().and_then(choice::of_blob) {
        return Ok(reference);
    }
    let all = Api::<Committee>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let all = all.context("the default Committee cannot be found; name one with --committee")?;
    Ok(choice::default_of(&all.items).map_err(|text| Ended::new(Exit::NotFound, text))?)
}

async fn ca(cluster: &Cluster, committee: &CommitteeReference) -> anyhow::Result<String> {
    let name = names::gateway_ca(&committee.name);
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &committee.namespace);
    let map = maps.get(&name).await;
    let map = map.context("the certificate authority of the gateway cannot be read")?;
    map.data.unwrap_or_default().remove(CA_KEY).with_context(|| {
        format!(
            "ConfigMap {}/{name} has no {CA_KEY}; is the operator running?",
            committee.namespace
        )
    })
}

/// By the network.
pub fn tcp() -> Dial {
    Arc::new(|host: String, port: u16| {
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        }
        .boxed()
    })
}

/// By the API server, to the pods of the gateway that are ready, in turn; and how many they are.
async fn forward(
    cluster: &Cluster,
    committee: &CommitteeReference,
) -> anyhow::Result<(Dial, usize)> {
    let CommitteeReference { name, namespace } = committee;
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
    let labels = labels::of_component(name, Component::Gateway);
    let labels: Vec<String> = [labels::COMMITTEE, labels::COMPONENT]
        .iter()
        .filter_map(|&key| Some(format!("{key}={}", labels.get(key)?)))
        .collect();
    let found = pods.list(&ListParams::default().labels(&labels.join(","))).await;
    let found = found.context("the gateway's pods cannot be listed")?;
    let ready = choice::ready_pods(&found.items);
    if ready.is_empty() {
        let message = format!("no pod of the gateway of {namespace}/{name} is ready");
        return Err(Ended::new(Exit::NotEnoughNodes, message).into());
    }
    let count = ready.len();
    let next = AtomicUsize::new(anywhere());
    let dial = move |_: String, _: u16| {
        let at = next.fetch_add(1, Ordering::Relaxed) % count;
        let (pods, pod) = (pods.clone(), ready.get(at).cloned().unwrap_or_default());
        async move { forwarded(&pods, &pod).await }.boxed()
    };
    Ok((Arc::new(dial), count))
}

/// So that not everybody begins with the same pod.
fn anywhere() -> usize {
    usize::try_from(Timestamp::now().subsec_nanosecond()).unwrap_or_default() / 1000
}

async fn forwarded(pods: &Api<Pod>, pod: &str) -> io::Result<BoxStream> {
    let port = names::GATEWAY_PORT;
    let forwarder = pods.portforward(pod, &[port]).await;
    let mut forwarder = forwarder
        .map_err(|error| io::Error::other(format!("no port-forward to pod {pod}: {error}")))?;
    // It works as long as its stream lives, whether or not it is kept itself.
    let stream = forwarder.take_stream(port);
    let stream = stream.ok_or_else(|| io::Error::other("the port-forward has no stream"))?;
    Ok(Box::new(stream))
}
