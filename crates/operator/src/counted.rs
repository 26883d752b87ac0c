//! A client whose writes are counted.

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tower::service_fn;

use crate::Metrics;

/// The same client, with every write counted.
pub(crate) fn counted(client: &Client, metrics: &Metrics) -> Client {
    let (namespace, metrics) = (client.default_namespace().to_owned(), metrics.clone());
    let client = client.clone();
    let service = service_fn(move |request: Request<Body>| {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            metrics.wrote(&resource_of(request.uri().path()), request.method());
        }
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(service, namespace)
}

/// `configmaps` or `blobs/status`: what a path of the API server is about.
fn resource_of(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = match parts.next() {
        // /api/v1/… and /apis/GROUP/VERSION/…
        Some("api") => parts.skip(1).collect(),
        Some("apis") => parts.skip(2).collect(),
        _ => return "other".to_owned(),
    };
    match parts.as_slice() {
        ["namespaces", _, resource, _, subresource] => format!("{resource}/{subresource}"),
        ["namespaces", _, resource, ..] => (*resource).to_owned(),
        ["namespaces", _] => "namespaces".to_owned(),
        [resource, _, subresource] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_resource() {
        let table = [
            ("/api/v1/namespaces/floe/configmaps/main-0-0", "configmaps"),
            ("/api/v1/namespaces/floe/configmaps", "configmaps"),
            ("/apis/floe.dev/v1alpha1/namespaces/shop/blobs/a/status", "blobs/status"),
            ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/a", "clusterrolebindings"),
            ("/api/v1/persistentvolumes/a/status", "persistentvolumes/status"),
            ("/api/v1/namespaces/floe", "namespaces"),
            ("/version", "other"),
            ("/api", "other"),
        ];
        for (path, resource) in table {
            assert_eq!(resource_of(path), resource, "{path}");
        }
    }
}
