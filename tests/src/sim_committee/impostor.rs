//! A node's host in the hands of a liar: it has the node's certificate, and answers what it likes.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use floe_api::server::{Limits, Security};
use floe_api::{ApiError, Call, Credentials, ErrorCode};
use floe_env::Env;
use floe_model::NodeName;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::World;
use super::world::NODE_PORT;

/// Answers calls, with the body as it came; `None` is a refusal.
pub type Impostor = Arc<dyn Fn(&Call, &[u8]) -> Option<Response<Bytes>> + Send + Sync>;

pub(super) async fn serve(world: &World, node: &NodeName, env: Env, impostor: Impostor) {
    world.log().note(node.as_str(), "an impostor starts");
    let credentials = Credentials::fixed(&env, world.identity(node.as_str())).unwrap();
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, NODE_PORT));
    let listener = env.net.listen(address).await.unwrap();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let impostor = Arc::clone(&impostor);
        async move { Ok::<_, Infallible>(answer(&impostor, request).await.map(Full::new)) }
    });
    let (security, never) = (Security::Members(credentials), std::future::pending());
    floe_api::server::serve(env, listener, security, service, Limits::default(), never).await;
}

async fn answer(impostor: &Impostor, request: Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let refused = || ApiError::new(ErrorCode::NotFound, "it is not here").to_response();
    match Call::parse(&head.method, head.uri.path(), head.uri.query()) {
        Ok(call) => impostor(&call, &body).unwrap_or_else(refused),
        Err(error) => error.to_response(),
    }
}
