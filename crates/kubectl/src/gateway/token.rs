//! Who asks the gateway: a bearer token that is meant for it.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_crd::Committee;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde::Deserialize;

use crate::args::WayArguments;
use crate::cluster::Cluster;

/// The audience of gateways whose Committee names none.
const AUDIENCE: &str = "floe.dev";
/// Every namespace has it.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";
/// How long a requested token lives: the least that the API server gives.
const LIFE_SECONDS: i64 = 600;

/// The kubeconfig's token if it is meant for the gateway; else one for a ServiceAccount of the
/// namespace, if the caller may request it.
pub(super) async fn token(
    cluster: &Cluster,
    arguments: &WayArguments,
    committee: &Committee,
    namespace: &str,
) -> anyhow::Result<String> {
    let audiences = audiences(committee);
    let own = cluster.token.as_ref().filter(|_| arguments.as_service_account.is_none());
    if let Some(token) = own.filter(|token| is_for(token, &audiences)) {
        return Ok(token.clone());
    }
    let account = arguments.as_service_account.as_deref().unwrap_or(DEFAULT_SERVICE_ACCOUNT);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(audiences),
            expiration_seconds: Some(LIFE_SECONDS),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    let answer = answer.with_context(|| {
        format!("no token for ServiceAccount {namespace}/{account}; see --as-service-account")
    })?;
    answer.status.and_then(|status| status.token).context("the API server gave no token")
}

/// For whom tokens must be: one of these is enough.
fn audiences(committee: &Committee) -> Vec<String> {
    match committee.spec.gateway.audiences.as_slice() {
        [] => vec![AUDIENCE.to_owned()],
        some => some.to_vec(),
    }
}

/// Whether a token says that it is for one of the audiences. One that cannot be read is for nobody.
fn is_for(token: &str, audiences: &[String]) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        aud: Audience,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    let claims = token.split('.').nth(1).and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    match claims.map(|claims| claims.aud) {
        Some(Audience::One(audience)) => audiences.contains(&audience),
        Some(Audience::Several(several)) => several.iter().any(|it| audiences.contains(it)),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_for_whom_it_is() {
        let ours = ["floe.dev".to_owned(), "floe.example.com".to_owned()];
        // {"aud":["https://kubernetes.default.svc"]}, {"aud":["x","floe.dev"]}, {"aud":"floe.dev"}
        for (claims, expected) in [
            ("eyJhdWQiOlsiaHR0cHM6Ly9rdWJlcm5ldGVzLmRlZmF1bHQuc3ZjIl19", false),
            ("eyJhdWQiOlsieCIsImZsb2UuZGV2Il19", true),
            ("eyJhdWQiOiJmbG9lLmRldiJ9", true),
            ("e30", false),
            ("{}", false),
        ] {
            assert_eq!(is_for(&format!("head.{claims}.signature"), &ours), expected, "{claims}");
        }
        assert!(!is_for("opaque", &ours));
    }
}
